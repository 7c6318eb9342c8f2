"""F28: processes that are told to end do so in time, and nothing is lost with them."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from taskline_service.ids import new_id
from taskline_service.store import Directory
from taskline_service.store.values import ListQuery
from taskline_service.task import TaskState
from tests.faults.site import UNAVAILABLE, Refusal, Site, rounds, until
from tests.store.making import enqueue, new_task

GRACE_S = 1.0
# What a process may take beside its grace.
END_S = 2.0
# Of a machine that starts many processes at once.
NOISE_S = 1.5

_ROOT = Path(__file__).parents[2]
_TASKS = "tests.faults.shutdown_tasks:tasks"


class Program:
    """A `taskline worker` or `taskline serve` that uses the site's store."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.started_at = time.monotonic()
        self._output = asyncio.create_task(process.communicate())

    @classmethod
    @asynccontextmanager
    async def running(cls, site: Site, command: str, *options: str) -> AsyncIterator["Program"]:
        """Until the block ends; then it must have ended, or it is killed."""
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("taskline"),
            *(command, "--tasks", _TASKS, "--grace", str(GRACE_S), *options),
            cwd=_ROOT,
            env=os.environ | {"TASKLINE_REDIS_URL": site.proxy.url, "TASKLINE_NAMESPACE": "test"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        program = cls(process)
        try:
            yield program
        finally:
            if process.returncode is None:
                process.kill()
            await program._output

    @property
    def orderly(self) -> bool:
        """Whether it has come so far as to handle SIGTERM; the interpreter itself does not."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught & 1 << (signal.SIGTERM - 1))

    def interrupt(self) -> None:
        """As Ctrl-C does; does not wait for the end."""
        self._process.send_signal(signal.SIGINT)

    async def end(self) -> tuple[int, float, str]:
        """Tell it to end; returns its exit code, how long it took, and what it has said."""
        began = time.monotonic()
        self._process.terminate()
        output, _ = await asyncio.wait_for(asyncio.shield(self._output), 60)
        assert self._process.returncode is not None
        return self._process.returncode, time.monotonic() - began, output.decode()

    async def end_at(self, moment_s: float) -> str:
        """Tell it to end so long after its start; complains of an end that is not in order."""
        await asyncio.sleep(self.started_at + moment_s - time.monotonic())
        orderly = self.orderly
        code, took, output = await self.end()
        assert took < GRACE_S + END_S + NOISE_S, output
        assert code == 0 or (code == -signal.SIGTERM and not orderly), output
        return output


async def counts(site: Site) -> dict[TaskState, int]:
    """How many tasks are in each state."""
    tasks = (await site.direct.list(ListQuery(), count=10_000)).tasks
    return {state: sum(task.state is state for task in tasks) for state in TaskState}


async def until_all_ended(site: Site, *, within: float = 40) -> None:
    async def so_it_is() -> bool:
        ended = (await counts(site))[TaskState.COMPLETED]
        return ended == sum((await counts(site)).values())

    await until(so_it_is, within=within)


async def until_running(site: Site, count: int) -> None:
    async def so_it_is() -> bool:
        return (await counts(site))[TaskState.RUNNING] == count

    await until(so_it_is, within=30)


async def enqueue_all(site: Site, *task_types: str) -> None:
    await enqueue(site.direct, *(new_task(new_id(), task_type=name) for name in task_types))


async def test_workers_told_to_end_at_any_moment_end_in_time_and_lose_nothing(site: Site) -> None:
    async def live_and_end(moment_s: float) -> None:
        async with Program.running(site, "worker", "--lease", "5") as worker:
            await worker.end_at(moment_s)

    for _ in range(rounds(1)):
        await enqueue_all(site, *["brief"] * 100, *["held"] * 10)
        await asyncio.gather(*(live_and_end(random.uniform(0, 4)) for _ in range(7)))
    async with Program.running(site, "worker") as last:
        await until_all_ended(site)
        await last.end_at(0)

    assert await site.lost() == 0
    assert await Directory(site.direct.redis, site.direct.keys).workers(count=10) == []


async def test_servers_told_to_end_at_any_moment_end_in_time_and_lose_nothing(site: Site) -> None:
    async def live_and_end(moment_s: float) -> None:
        options = ("--listen", "127.0.0.1:0", "--workers", "1", "--lease", "5")
        async with Program.running(site, "serve", *options) as server:
            await server.end_at(moment_s)

    await enqueue_all(site, *["brief"] * 100, *["held"] * 10)
    for _ in range(rounds(1)):
        await asyncio.gather(*(live_and_end(random.uniform(0, 4)) for _ in range(3)))
    async with Program.running(site, "worker") as last:
        await until_all_ended(site)
        await last.end_at(0)

    assert await site.lost() == 0


@pytest.mark.parametrize(
    "task_types", [["deaf", "sleeping"], ["pooled"], ["forked"], ["blocking"], ["locked"]]
)
async def test_tasks_that_do_not_stop_are_given_back_all_the_same(
    site: Site, task_types: list[str]
) -> None:
    await enqueue_all(site, *task_types)
    async with Program.running(site, "worker") as worker:
        await until_running(site, len(task_types))

        code, took, output = await worker.end()

        assert code == 0, output
        assert took < GRACE_S + END_S + NOISE_S, output
    assert (await counts(site))[TaskState.QUEUED] == len(task_types)
    assert await site.lost() == 0


@pytest.mark.parametrize("task_type", ["blocking", "locked"])
async def test_a_second_signal_ends_a_worker_whose_event_loop_is_held_up(
    site: Site, task_type: str
) -> None:
    await enqueue_all(site, task_type)
    async with Program.running(site, "worker") as worker:
        await until_running(site, 1)
        worker.interrupt()
        code, took, output = await worker.end()

    assert code == 130, output
    assert took < NOISE_S, output


async def test_a_worker_that_cannot_give_its_tasks_back_says_so_and_ends_all_the_same(
    site: Site,
) -> None:
    await enqueue_all(site, "pooled", "deaf")
    async with Program.running(site, "worker") as worker:
        await until_running(site, 2)
        site.proxy.blackhole()

        code, took, output = await worker.end()

        assert code == 1, output
        assert took < GRACE_S + END_S + NOISE_S, output
        assert "2 tasks are left to their leases" in output
    site.proxy.heal()


@pytest.mark.parametrize("command", ["serve", "worker"])
async def test_a_process_that_waits_for_its_store_to_start_ends_at_once(
    site: Site, command: str
) -> None:
    site.proxy.blackhole()
    options = ("--listen", "127.0.0.1:0") if command == "serve" else ()
    async with Program.running(site, command, *options) as program:
        await until(lambda: _connects(site), within=20)

        code, took, output = await program.end()

        assert code == 0, output
        assert took < NOISE_S, output
    site.proxy.heal()


async def _connects(site: Site) -> bool:
    # One more than those of the stack of this test.
    return site.proxy.connections > 2


async def test_who_waits_for_a_silent_store_is_told_that_the_server_is_draining(site: Site) -> None:
    @site.stack.tasks.task("quick")
    async def quick() -> None: ...

    site.proxy.blackhole()
    calls = [asyncio.create_task(site.refusal("quick", timeout=30)) for _ in range(5)]
    await under_way(site, len(calls))

    await site.stack.server.drain(timedelta(seconds=0.5))

    assert [await call for call in calls] == [Refusal(UNAVAILABLE.code, "SERVER_DRAINING", 0)] * 5
    site.proxy.heal()


async def under_way(site: Site, count: int) -> None:
    """Returns when the server has so many calls in hand."""
    while site.stack.server.calls < count:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0)
