"""A worker whose store has a damaged key keeps what it has done until that is mended."""

import asyncio

import pytest

from taskline.v1 import task_pb2
from taskline_service.fsck import repair_store
from taskline_service.store import TaskStore
from tests.stack import Stack

pytestmark = pytest.mark.damages_store

State = task_pb2.Task.State


async def damage(store: TaskStore, name: bytes) -> None:
    await store.redis.call(b"SET", store.keys.prefix + name, b"rubbish")


@pytest.mark.one_partition
@pytest.mark.parametrize("fails", [False, True], ids=["a result", "a failure"])
@pytest.mark.parametrize(
    "key",
    [
        pytest.param(b"i:{end}:held:default", id="of its line"),
        pytest.param(b"retention", id="that all tasks share"),
    ],
)
async def test_what_a_task_came_to_waits_for_the_repair_and_is_not_lost(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, key: bytes, fails: bool
) -> None:
    monkeypatch.setattr("taskline_service.worker.outcomes._PAUSE_S", 0.02)
    executed, go = list[str](), asyncio.Event()
    end = State.STATE_FAILED if fails else State.STATE_COMPLETED

    @stack.tasks.task("held", max_attempts=1)
    async def held() -> str:
        executed.append("held")
        await go.wait()
        if fails:
            raise ValueError("no good")
        return "done"

    async with stack.worker():
        handle = await stack.client.enqueue("held")
        await stack.until(handle.id, lambda task: task.state == State.STATE_RUNNING)
        name = key.replace(b"{end}", State.Name(end).removeprefix("STATE_").encode())
        await damage(stack.store, name)
        go.set()
        async with asyncio.timeout(10):
            while not stack.store.damage.count:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        before = await stack.state(handle.id)
        await repair_store(stack.store.redis, stack.store.keys)
        task = await stack.until(handle.id, lambda task: task.state == end)

    assert before == State.STATE_RUNNING
    assert task.state == end
    assert executed == ["held"]


@pytest.mark.one_partition
async def test_tasks_of_another_line_go_on_beside_one_that_waits_for_a_repair(
    stack: Stack,
) -> None:
    go = asyncio.Event()

    @stack.tasks.task("held")
    async def held() -> None:
        await go.wait()

    @stack.tasks.task("other")
    async def other() -> int:
        return 1

    async with stack.worker():
        handle = await stack.client.enqueue("held")
        await stack.until(handle.id, lambda task: task.state == State.STATE_RUNNING)
        await damage(stack.store, b"i:COMPLETED:held:default")
        await damage(stack.store, b"q:held:default")
        go.set()
        for _ in range(3):
            assert await (await stack.client.enqueue("other")).result() == 1
        assert await stack.state(handle.id) == State.STATE_RUNNING
        await repair_store(stack.store.redis, stack.store.keys)
        await handle.result()
