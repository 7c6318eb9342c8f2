"""The last progress of an attempt is stored before the attempt ends."""

import asyncio

import pytest

from taskline_service.store import Redis, TaskStore, parse_redis_url
from taskline_service.task import Claim, Progress
from taskline_service.worker.progress import ProgressSender
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
