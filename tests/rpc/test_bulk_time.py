"""A bulk call whose time is over before its work is."""

import asyncio

from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc import bulk
from taskline_service.store import TaskStore, answered_by
from taskline_service.task import TaskState
from tests.store.making import enqueue

_ALL = bulk.select(pb.TaskFilter(), possible=[TaskState.QUEUED])


async def test_a_store_that_answers_step_after_step_is_not_blamed_when_the_time_is_over(
    store: TaskStore,
) -> None:
    ids = [f"t-{i}" for i in range(250)]
    await enqueue(store, *ids)
    loop, done = asyncio.get_running_loop(), list[str]()
    time_is_over = loop.time() + 1

    async def take_all_the_time_but_for_the_first(step: list[str]) -> int:
        while done and loop.time() < time_is_over:
            await store.get(step[0])
        done.extend(step)
        return len(step)

    with answered_by(time_is_over):
        count = await bulk.for_each_step(store, _ALL, take_all_the_time_but_for_the_first)

    assert (count, done) == (250, ids)
