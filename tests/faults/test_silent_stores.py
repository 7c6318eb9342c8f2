"""A store that does not answer at all: a blackhole, a half-open connection, a stopped process."""

import asyncio
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from taskline.v1 import task_pb2
from taskline_service import TaskContext
from tests.faults.every_rpc import every_rpc
from tests.faults.site import SLACK_S, UNAVAILABLE, Site, rounds, until

DEADLINE_S = 2.0
# How long a call without a deadline waits: for an answer, then for a connection.
BOUND_S = 4.5
# Of a machine that does other things too.
NOISE_S = 0.5
LEASE = timedelta(seconds=2)
# So long that what a busy machine holds up is little beside it.
LONGER_LEASE = timedelta(seconds=5)

# The server knows the task types that it has the code of, and those that it just looked up.
_ANSWERED_WITHOUT_THE_STORE = {"GetTaskType", "ListTaskTypes"}


def blackhole(site: Site) -> None:
    site.proxy.blackhole()


def half_open(site: Site) -> None:
    site.proxy.half_open()


def stopped(site: Site) -> None:
    site.own.signal(signal.SIGSTOP)


def heal(site: Site) -> None:
    site.proxy.heal()
    site.own.signal(signal.SIGCONT)


Silence = Callable[[Site], None]


async def _with_a_task(site: Site) -> str:
    @site.stack.tasks.task("work")
    async def work() -> None:
        pass

    return (await site.enqueue("work")).id


@pytest.mark.parametrize("silence", [blackhole, stopped])
async def test_every_rpc_tells_before_its_deadline_that_the_store_is_silent(
    site: Site, silence: Silence
) -> None:
    rpcs = list(every_rpc("work", await _with_a_task(site)))
    silence(site)

    answers = await asyncio.gather(*(r.call(site.stack, timeout=DEADLINE_S) for r in rpcs))
    # Again, now that the connection is given up, and is being opened anew.
    answers += await asyncio.gather(*(r.call(site.stack, timeout=DEADLINE_S) for r in rpcs))

    heal(site)
    late = [answer for answer in answers if answer.seconds > DEADLINE_S + 0.1]
    wrong = [
        answer
        for answer in answers
        if answer.refusal != UNAVAILABLE and answer.name not in _ANSWERED_WITHOUT_THE_STORE
    ]
    assert not late
    assert not wrong
    assert len(answers) == 2 * 24


@pytest.mark.parametrize("silence", [blackhole, half_open])
async def test_every_rpc_without_a_deadline_ends_all_the_same(site: Site, silence: Silence) -> None:
    rpcs = list(every_rpc("work", await _with_a_task(site)))
    silence(site)

    answers = await asyncio.gather(*(rpc.call(site.stack, timeout=BOUND_S * 3) for rpc in rpcs))

    heal(site)
    late = [answer for answer in answers if answer.seconds > BOUND_S + SLACK_S]
    assert not late
    refusals = {a.name: a.refusal for a in answers if a.refusal not in (None, UNAVAILABLE)}
    # A half-open connection is given up and replaced; what comes to it late is carried out.
    assert silence is half_open or not refusals


async def test_tasks_are_stopped_before_their_leases_run_out_and_none_counts_as_lost(
    site: Site,
) -> None:
    """F11, with an outage of more than a lease."""
    stopped_after, began = list[float](), list[float]()

    @site.stack.tasks.task("work")
    async def work(ctx: TaskContext) -> int:
        if ctx.attempt == 1:
            began.append(time.monotonic())
            try:
                await asyncio.Event().wait()
            finally:
                stopped_after.append(time.monotonic())
        return ctx.attempt

    async with site.stack.worker(lease=LEASE):
        for i in range(5):
            await site.enqueue("work", f"begun-{i}")
        await until(lambda: _is(len(began) == 5), within=5)
        await until(lambda: _knows(site, b"name=taskline-leases"), within=5)
        silent_from = time.monotonic()
        site.proxy.blackhole()
        await until(lambda: _is(len(stopped_after) == 5), within=10)
        await site.until_ready(False)
        await asyncio.sleep(rounds(1))  # the fault itself
        site.proxy.heal()
        back_at = time.monotonic()
        await site.until_ready(True)
        ended = [await site.ended(f"begun-{i}") for i in range(5)]
        back_after = time.monotonic() - back_at

    assert max(stopped_after) - silent_from < LEASE.total_seconds() + NOISE_S
    assert back_after < 5 + SLACK_S
    assert {e.task.state for e in ended} == {task_pb2.Task.STATE_COMPLETED}
    assert {e.task.attempts for e in ended} == {2}
    assert await site.lost() == 0


async def test_a_connection_that_goes_silent_is_replaced_before_the_leases_run_out(
    site: Site,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @site.stack.tasks.task("work")
    async def work() -> None:
        begun.set()
        await go_on.wait()

    async with site.stack.worker(lease=LONGER_LEASE):
        task = await site.enqueue("work")
        await begun.wait()
        await until(lambda: _knows(site, b"name=taskline-leases"), within=5)
        for _ in range(rounds(1)):
            site.proxy.half_open()
            until_s = time.monotonic() + 1.5 * LONGER_LEASE.total_seconds()
            while time.monotonic() < until_s:  # the fault itself
                assert await _lease_left(site, task.id) > 0
                await asyncio.sleep(0.05)
        go_on.set()
        ended = await site.ended(task.id)

    assert (ended.task.state, ended.task.attempts) == (task_pb2.Task.STATE_COMPLETED, 1)
    assert await site.lost() == 0


async def _lease_left(site: Site, task_id: str) -> float:
    """Seconds until the lease of a task runs out."""
    redis, leases = site.direct.redis, site.direct.keys.prefix + b"leases"
    seconds, us = await redis.call(b"TIME")
    return float(await redis.call(b"ZSCORE", leases, task_id)) / 1e6 - int(seconds) - int(us) / 1e6


async def _knows(site: Site, client: bytes) -> bool:
    clients = await site.own.call(b"CLIENT", b"LIST")
    assert isinstance(clients, bytes)
    return client in clients


async def _is(what: bool) -> bool:
    return what


async def test_while_the_store_is_away_little_is_logged_and_little_is_done(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """K48: at most a line a second from each place, and hardly any CPU."""
    await _with_a_task(site)
    caplog.set_level(logging.INFO, "taskline_service")
    seconds = rounds(4)
    async with site.stack.worker(lease=LEASE):
        await site.stack.until((await site.enqueue("work")).id, _has_ended)
        await site.own.end(signal.SIGKILL)
        caplog.clear()
        used = time.process_time()
        await asyncio.sleep(seconds)  # the fault itself
        used = time.process_time() - used
        lines = Counter(f"{record.name}:{record.lineno}" for record in caplog.records)
        await site.own.start()
        await site.until_ready(True)

    assert max(lines.values()) <= seconds, lines
    assert used < 0.1 * seconds


def _has_ended(task: task_pb2.Task) -> bool:
    return task.state == task_pb2.Task.STATE_COMPLETED


async def test_calls_that_wait_while_the_connection_hangs_are_answered_when_it_recovers(
    site: Site,
) -> None:
    """A short blackhole costs time, and nothing else."""
    await _with_a_task(site)
    site.proxy.blackhole()
    calls = [asyncio.create_task(site.enqueue("work", f"late-{i}")) for i in range(20)]
    await asyncio.sleep(0.5)  # the fault itself

    site.proxy.heal()

    assert {task.id for task in await asyncio.gather(*calls)} == {f"late-{i}" for i in range(20)}
