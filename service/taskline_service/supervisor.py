"""Keeps worker processes running beside the server, and ends them with it."""

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from taskline_service.config import ServeConfig
from taskline_service.die_with_parent import PARENT_VARIABLE

log = logging.getLogger(__name__)

_STDERR = 2

# On top of the grace that workers get for their tasks: to end themselves in order.
_END_MARGIN = timedelta(seconds=5)


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
    command += ["--max-result-size", str(config.max_result_size)]
    command += ["--result-ttl", str(config.result_ttl.total_seconds())]
    command += ["--record-ttl", str(config.record_ttl.total_seconds())]
    command += ["--max-lost", str(config.max_lost)]
    command += ["--log-level", config.log_level.value]
    return tuple(command)


def worker_environment(config: ServeConfig) -> dict[str, str]:
    """What a worker needs beside its command line: a URL may hold a password."""
    return {"TASKLINE_REDIS_URL": config.store.redis_url} if config.store.redis_url else {}


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
        environment: Mapping[str, str] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Prepare; nothing runs before run().

        Args:
            command: What every process runs; handles SIGTERM.
            count: How many of them.
            grace: How long they may go on after SIGTERM; killed 5 s later.
            environment: Added to that of this process.
            backoff: When one that died is started again.
        """
        self._command = tuple(command)
        self._count = count
        self._grace = grace
        self._environment = {
            **os.environ,
            **(environment or {}),
            PARENT_VARIABLE: str(os.getpid()),
        }
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
                group.create_task(self._keep_running(f"worker {number}"))

    def stop(self) -> None:
        """Have them finish their tasks and end; run() returns when they have."""
        self._stopping.set()

    def abandon(self) -> None:
        """From now on, end them at once: what they do can no longer be stored."""
        self._abandoned = True

    async def _keep_running(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        early_deaths = 0
        while not self._stopping.is_set():
            started = loop.time()
            await self._live(name)
            if self._stopping.is_set():
                return
            lived = timedelta(seconds=loop.time() - started)
            early_deaths = 1 if lived >= self._backoff.good_life else early_deaths + 1
            delay = self._backoff.delay(early_deaths)
            log.warning("%s: started again in %.1f s", name, delay.total_seconds())
            await self._pause(delay)

    async def _live(self, name: str) -> None:
        """One life of a process, until it ends or is to stop."""
        try:
            process = await self._start()
        except OSError as error:
            # Out of memory or of processes; the next try may be luckier.
            log.error("%s: cannot be started: %s", name, error)
            return
        log.info("%s: process %d", name, process.pid)
        try:
            await self._ended_or_stopping(process)
        finally:
            await self._end(name, process)
        log.log(
            logging.INFO if self._stopping.is_set() else logging.WARNING,
            "%s: process %d ended with %s",
            name,
            process.pid,
            process.returncode,
        )

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            # Standard output belongs to the server, which prints one line there.
            stdout=_STDERR,
            # Ctrl-C in a terminal is for the server alone, which then stops these.
            start_new_session=True,
        )

    async def _ended_or_stopping(self, process: asyncio.subprocess.Process) -> None:
        waits = {
            asyncio.create_task(process.wait()),
            asyncio.create_task(self._stopping.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

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
