"""What an operator's program does: queues, single tasks, tasks in bulk, statistics."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from taskline.v1 import admin_service_pb2
from taskline_client import (
    AdminClient,
    EnqueueOptions,
    ErrorType,
    TaskFilter,
    TaskNotFound,
    TaskState,
    WrongState,
)
from tests.stack import Stack


@pytest.fixture
async def admin(stack: Stack) -> AsyncIterator[AdminClient]:
    """A deployment with a task that completes, one that fails, and one that nothing runs."""

    @stack.tasks.task("good", queue="text")
    async def good() -> None: ...

    @stack.tasks.task("bad", max_attempts=1)
    async def bad() -> None:
        raise ValueError("no")

    async with AdminClient(stack.address) as client:
        yield client


async def ended(stack: Stack, *names: str) -> None:
    async with stack.worker():
        for name in names:
            await stack.client.enqueue(name, options=EnqueueOptions(task_id=name))
        for name in names:
            await stack.until(name, lambda task: task.HasField("end_time"))


async def test_every_method_of_the_admin_service_has_its_own() -> None:
    (contract,) = admin_service_pb2.DESCRIPTOR.services_by_name.values()
    names = {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in method.name).lstrip("_")
        for method in contract.methods
    }

    assert {name.removeprefix("get_").removeprefix("list_") for name in names} <= set(
        dir(AdminClient)
    )


async def test_a_queue_is_paused_and_resumed(stack: Stack, admin: AdminClient) -> None:
    paused = await admin.pause_queue("text")
    shown = await admin.queues()
    resumed = await admin.resume_queue("text")

    assert (paused.paused, [(q.name, q.paused) for q in shown]) == (True, [("text", True)])
    assert not resumed.paused


async def test_an_ended_task_is_retried_and_deleted(stack: Stack, admin: AdminClient) -> None:
    await ended(stack, "bad")

    retried = await admin.retry_task("bad")
    with pytest.raises(WrongState):
        await admin.retry_task("bad")
    with pytest.raises(WrongState):
        await admin.delete_task("bad")
    async with stack.worker():
        await stack.until("bad", lambda task: task.HasField("end_time"))
    await admin.delete_task("bad")

    assert (retried.state, retried.attempts) == (TaskState.QUEUED, 1)
    with pytest.raises(TaskNotFound):
        await stack.client.get("bad")


async def test_tasks_are_counted_before_they_are_changed(stack: Stack, admin: AdminClient) -> None:
    await ended(stack, "good", "bad")
    await stack.client.enqueue("good", options=EnqueueOptions(task_id="waits"))
    failed = TaskFilter(error_types=[ErrorType.RUNTIME], min_attempts=1)

    counted = [
        await admin.retry_tasks(failed, validate_only=True),
        await admin.delete_tasks(TaskFilter(), validate_only=True),
        await admin.cancel_tasks(TaskFilter(), validate_only=True),
    ]
    states = [(await stack.client.get(name)).state for name in ("good", "bad", "waits")]
    done = [
        await admin.cancel_tasks(TaskFilter(), reason="closing time"),
        await admin.retry_tasks(failed),
        await admin.delete_tasks(TaskFilter()),
    ]
    left = [task.id async for task in stack.client.list_tasks()]

    assert (counted, states) == ([1, 2, 1], ["COMPLETED", "FAILED", "QUEUED"])
    assert (done, left) == ([1, 1, 2], ["bad"])


async def test_statistics_tell_states_errors_types_and_what_happened(
    stack: Stack, admin: AdminClient
) -> None:
    await ended(stack, "good", "bad")
    await stack.client.enqueue("good")

    stats = await admin.stats(window=timedelta(minutes=5))
    of_text = await admin.stats(["text"])

    assert {state: count for state, count in stats.states.items() if count} == {
        TaskState.COMPLETED: 1,
        TaskState.FAILED: 1,
        TaskState.QUEUED: 1,
    }
    assert (stats.total, stats.success_rate, of_text.total) == (3, 0.5, 2)
    assert stats.error_types == {ErrorType.RUNTIME: 1}
    assert {one.task_type: one.success_rate for one in stats.task_types} == {"good": 1, "bad": 0}
    assert sum(bucket.enqueued for bucket in stats.history) == 3
    assert sum(bucket.completed for bucket in stats.history) == 1
    assert any(bucket.run_time_p50 is not None for bucket in stats.history)
    assert all(bucket.width > timedelta() and bucket.start_time for bucket in stats.history)


async def test_the_deployment_is_described(stack: Stack, admin: AdminClient) -> None:
    async with stack.worker(concurrency=3):
        await (await stack.client.enqueue("good")).result()
        (worker,) = await admin.workers()
        types = [task_type.name for task_type in await admin.task_types()]
    info = await admin.server_info()

    assert (worker.concurrency, set(worker.task_types)) == (3, {"bad", "good"})
    assert types == ["bad", "good"]
    assert info.namespace == stack.store.keys.namespace
