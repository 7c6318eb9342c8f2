"""A worker stays known, and so do its task types, whatever becomes of its loop and of the store."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_service_pb2 as pb
from taskline_client import TaskHandle, TaskTypeNotFound
from taskline_service import TaskRegistry
from taskline_service.fsck import repair_store
from taskline_service.store import Redis
from taskline_service.worker.heartbeat import _NEWS_EVERY_S, HEARTBEAT_EVERY_S
from tests.stack import Stack


async def enqueued(stack: Stack) -> TaskHandle[Any]:
    """Once the server knows the type."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await stack.client.enqueue("elsewhere")
            except TaskTypeNotFound:
                await asyncio.sleep(0.05)


@pytest.mark.damages_store
@pytest.mark.parametrize("loss", ["emptied", "repaired"])
async def test_types_that_the_store_lost_are_known_again_within_five_seconds(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    assert HEARTBEAT_EVERY_S + _NEWS_EVERY_S <= 5
    monkeypatch.setattr("taskline_service.worker.heartbeat.HEARTBEAT_EVERY_S", 0.1)
    tasks, redis, keys = TaskRegistry(), stack.store.redis, stack.store.keys

    @tasks.task("elsewhere")  # the server has no code of it
    async def elsewhere() -> int:
        return 7

    async with stack.worker(tasks=tasks):
        assert await (await enqueued(stack)).result() == 7
        if loss == "emptied":
            await redis.call(b"DEL", keys.types, keys.prefix + b"types_seen")
        else:
            await redis.call(b"SET", keys.types, b"rubbish")
            await repair_store(redis, keys)
        async with asyncio.timeout(10):
            while not await redis.call(b"HEXISTS", keys.types, b"elsewhere"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await (await enqueued(stack)).result() == 7
        types = (await stack.stub.ListTaskTypes(pb.ListTaskTypesRequest())).task_types
    assert "elsewhere" in {each.name for each in types}


async def test_a_worker_whose_loop_is_held_up_stays_listed_with_what_it_runs(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskline_service.worker.heartbeat.HEARTBEAT_EVERY_S", 0.1)
    workers = stack.store.keys.prefix + b"workers"

    async def three_beats() -> int:
        seen = set[bytes]()
        async with Redis(stack.redis) as redis, asyncio.timeout(10):
            while len(seen) < 3:
                seen.update((await redis.call(b"ZRANGE", workers, b"0", b"0", b"WITHSCORES"))[1:])
                await asyncio.sleep(0.01)
        return len(seen)

    @stack.tasks.task("blocks")
    async def blocks() -> int:
        with ThreadPoolExecutor() as pool:
            return pool.submit(asyncio.run, three_beats()).result()  # the loop waits for it

    async with stack.worker():
        assert await (await stack.client.enqueue("blocks")).result() == 3
        (worker,) = (await stack.admin.ListWorkers(admin.ListWorkersRequest())).workers
        assert "blocks" in worker.task_types
