"""The last progress of an attempt is stored before the attempt ends."""

import asyncio

import pytest

from taskline_service.store import Redis, TaskStore, parse_redis_url
from taskline_service.task import Claim, Progress
from taskline_service.worker.progress import INTERVAL_S, ProgressSender
from tests.faults.proxy import Proxy
from tests.store.making import claim_all, enqueue

ATTEMPTS, STEPS = 60, 12


@pytest.mark.one_partition
async def test_no_last_report_is_lost_while_many_attempts_report_to_a_slow_store(
    store: TaskStore, redis_url: str
) -> None:
    await enqueue(store, *(f"t-{i}" for i in range(ATTEMPTS)))
    claims = await claim_all(store)

    async def attempt(sender: ProgressSender, claim: Claim) -> None:
        for step in range(STEPS + 1):
            sender.report(claim, Progress(current=step, total=STEPS))
            await asyncio.sleep(0.003)
        await sender.finish(claim)
        (task,) = await store.get_many([claim.task_id])
        assert task is not None
        assert task.progress is not None
        assert task.progress.current == STEPS

    async with Proxy(parse_redis_url(redis_url)) as proxy, Redis(parse_redis_url(proxy.url)) as far:
        proxy.latency_s, proxy.jitter_s = 0.002, 0.004
        sender = ProgressSender(TaskStore(far, store.keys))
        sending = asyncio.create_task(sender.run())
        async with asyncio.TaskGroup() as group:
            for claim in claims:
                group.create_task(attempt(sender, claim))
        sending.cancel()


@pytest.mark.one_partition
async def test_a_report_that_falls_due_while_another_is_written_is_written_too(
    store: TaskStore, redis_url: str
) -> None:
    """Also if nobody ever reports again: the task may wait until somebody has seen it."""
    await enqueue(store, "a", "b")
    a, b = await claim_all(store)

    async def until_stored(claim: Claim, current: float) -> None:
        async with asyncio.timeout(5):
            while not (progress := (await store.get(claim.task_id)).progress) or (
                progress.current < current
            ):
                pass

    async with Proxy(parse_redis_url(redis_url)) as proxy, Redis(parse_redis_url(proxy.url)) as far:
        sender = ProgressSender(TaskStore(far, store.keys))
        sending = asyncio.create_task(sender.run())
        sender.report(a, Progress(current=1))
        await until_stored(a, 1)
        sender.report(a, Progress(current=2))
        await until_stored(a, 2)  # from here on, its next report has to wait for some milliseconds

        proxy.latency_s = 2 * INTERVAL_S
        sender.report(a, Progress(current=3))
        sender.report(b, Progress(current=1))

        await until_stored(b, 1)
        await until_stored(a, 3)
        sending.cancel()
