"""Keeps worker processes running beside the server, and ends them with it."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from taskline_service.config import ServeConfig
from taskline_service.die_with_parent import PARENT_VARIABLE
from taskline_service.signs_of_life import SignsOfLife

log = logging.getLogger(__name__)

_STDERR = 2

# On top of the grace that workers get for their tasks: to end themselves in order.
_END_MARGIN = timedelta(seconds=5)

# A shorter silence is no sign of anything on a machine that has much to do.
_SHORTEST_SILENCE = timedelta(seconds=10)
# For a process that is given up to show what it was doing.
_SHOW_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next start: doubles with every early death."""

    first: timedelta = timedelta(seconds=0.5)
    longest: timedelta = timedelta(seconds=30)
    # One that lived this long had started well; the next death is a new story.
    good_life: timedelta = timedelta(minutes=1)

    def delay(self, early_deaths: int) -> timedelta:
        """The wait after the given number of early deaths in a row, 1 for the first."""
        # Bounded, because a timedelta has a largest value and a broken worker has no end.
        return min(self.first * 2.0 ** min(early_deaths - 1, 16), self.longest)


def worker_command(config: ServeConfig) -> tuple[str, ...]:
    """The command line of a worker beside this server; `ps` shows `taskline worker …`."""
    command = [*_taskline(), "worker", "--tasks", config.tasks or ""]
    if config.store.data_dir:
        command += ["--data-dir", str(config.store.data_dir)]
    command += ["--namespace", config.namespace]
    command += ["--concurrency", str(config.concurrency)]
    command += ["--lease", str(config.lease.total_seconds())]
    command += ["--grace", str(config.grace.total_seconds())]
    command += ["--partitions", str(config.partitions)]
    command += ["--max-queued", str(config.max_queued)]
    command += ["--max-input-size", str(config.max_input_size)]
    command += ["--max-result-size", str(config.max_result_size)]
    command += ["--result-ttl", str(config.result_ttl.total_seconds())]
    command += ["--record-ttl", str(config.record_ttl.total_seconds())]
    command += ["--max-lost", str(config.max_lost)]
    command += ["--log-level", config.log_level.value]
    command += ["--log-format", config.log_format.value]
    return tuple(command)


def worker_environment(config: ServeConfig, number: int) -> dict[str, str]:
    """What a worker needs beside its command line: a URL may hold a password, and each has a
    port of its own for its metrics, `number` behind that of the server.
    """
    environment = {}
    if config.store.redis_url:
        environment["TASKLINE_REDIS_URL"] = config.store.redis_url
    if (listen := config.metrics_listen) is not None:
        port = listen.port + number if listen.port else 0
        environment["TASKLINE_METRICS_LISTEN"] = str(listen.with_port(port))
    return environment


def longest_silence(lease: timedelta) -> timedelta:
    """How long a worker may give no sign of life: its leases have long run out by then."""
    return max(2 * lease, _SHORTEST_SILENCE)


def _taskline() -> tuple[str, ...]:
    script = Path(sys.executable).with_name("taskline")
    if script.exists():
        return (str(script),)
    return (sys.executable, "-c", "from taskline_client.cli import main; main()")


class Supervisor:
    """Runs `count` processes of one command, and starts again those that end.

    They end when this process does, however it ends: see `die_with_parent`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int,
        grace: timedelta,
        environment: Callable[[int], Mapping[str, str]] | None = None,
        longest_silence: timedelta | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Prepare; nothing runs before run().

        Args:
            command: What every process runs; handles SIGTERM.
            count: How many of them.
            grace: How long they may go on after SIGTERM; killed 5 s later.
            environment: What is added to that of this process, for each by its number from 1.
            longest_silence: After so long without a sign of life one is replaced; None if
                they give none.
            backoff: When one that died is started again.
        """
        self._command = tuple(command)
        self._count = count
        self._grace = grace
        self._environment = environment or (lambda _number: {})
        self._longest_silence = longest_silence
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._abandoned = False

    async def run(self) -> None:
        """Keep them running until stop() or a cancellation; none is left when this returns.

        Call from a thread that lives as long as the processes are to live, usually the
        main thread.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._count + 1):
                group.create_task(self._keep_running(number))

    def stop(self) -> None:
        """Have them finish their tasks and end; run() returns when they have."""
        self._stopping.set()

    def abandon(self) -> None:
        """From now on, end them at once: what they do can no longer be stored."""
        self._abandoned = True

    async def _keep_running(self, number: int) -> None:
        name = f"worker {number}"
        loop = asyncio.get_running_loop()
        early_deaths = 0
        while not self._stopping.is_set():
            started = loop.time()
            await self._live(name, number)
            if self._stopping.is_set():
                return
            lived = timedelta(seconds=loop.time() - started)
            early_deaths = 1 if lived >= self._backoff.good_life else early_deaths + 1
            delay = self._backoff.delay(early_deaths)
            log.warning("%s: started again in %.1f s", name, delay.total_seconds())
            await self._pause(delay)

    async def _live(self, name: str, number: int) -> None:
        """One life of a process, until it ends or is to stop."""
        with SignsOfLife.expected() as signs:
            try:
                process = await self._start(number, signs)
            except OSError as error:
                # Out of memory or of processes; the next try may be luckier.
                log.error("%s: cannot be started: %s", name, error)
                return
            signs.begun()
            log.info("%s: process %d", name, process.pid)
            try:
                if await self._falls_silent(process, signs):
                    await self._give_up(name, process)
            finally:
                await self._end(name, process)
        log.log(
            logging.INFO if self._stopping.is_set() else logging.WARNING,
            "%s: process %d ended with %s",
            name,
            process.pid,
            process.returncode,
        )

    async def _start(self, number: int, signs: SignsOfLife) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            env={
                **os.environ,
                **self._environment(number),
                **signs.environment,
                PARENT_VARIABLE: str(os.getpid()),
            },
            pass_fds=[signs.given],
            stdin=asyncio.subprocess.DEVNULL,
            # Standard output belongs to the server, which prints one line there.
            stdout=_STDERR,
            # Ctrl-C in a terminal is for the server alone, which then stops these.
            start_new_session=True,
        )

    async def _falls_silent(self, process: asyncio.subprocess.Process, signs: SignsOfLife) -> bool:
        """Wait until it ends or is to stop; True as soon as it gives no signs of life instead."""
        waits: set[asyncio.Task[Any]] = {
            asyncio.create_task(process.wait()),
            asyncio.create_task(self._stopping.wait()),
        }
        silence = None
        if self._longest_silence is not None:
            silence = asyncio.create_task(signs.silence(self._longest_silence))
            waits.add(silence)
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return done == {silence}

    async def _give_up(self, name: str, process: asyncio.subprocess.Process) -> None:
        """End what can do nothing any more; it shows what it was doing if it is not stopped."""
        assert self._longest_silence is not None
        log.error(
            "%s: process %d gave no sign of life for %.0f s: it is stopped, or code in C holds"
            " its interpreter; killed",
            name,
            process.pid,
            self._longest_silence.total_seconds(),
        )
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGABRT)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHOW_LIMIT_S):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()

    async def _end(self, name: str, process: asyncio.subprocess.Process) -> None:
        """SIGTERM, then SIGKILL when the grace is over; also if this is cancelled meanwhile."""
        if process.returncode is not None:
            return
        if self._abandoned:
            # Not SIGTERM: they would try to store what they have until the grace is over.
            process.kill()
            await process.wait()
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout((self._grace + _END_MARGIN).total_seconds()):
                await process.wait()
        except TimeoutError:
            log.warning("%s: process %d did not end in time, killed", name, process.pid)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _pause(self, delay: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(delay.total_seconds()):
                await self._stopping.wait()
