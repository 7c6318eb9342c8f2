"""Tasks that harm their worker harm no other task: with real worker processes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_client import EnqueueOptions, EnqueueRequest, ErrorType, Task, TaskState
from taskline_service.supervisor import Backoff, Supervisor
from tests.e2e.poison_tasks import tasks
from tests.stack import Stack, divided

LIMIT = timedelta(seconds=60)
INNOCENTS = 200


@asynccontextmanager
async def workers(
    stack: Stack, redis_url: str, *, count: int, concurrency: int = 10
) -> AsyncIterator[None]:
    """`taskline worker` processes, started again when they die, until the block ends."""
    stack.tasks.include(tasks)
    command = (
        str(Path(sys.executable).with_name("taskline")),
        *("worker", "--tasks", "tests.e2e.poison_tasks:tasks"),
        *("--namespace", stack.store.keys.namespace, *divided(stack.store)),
        *("--concurrency", str(concurrency), "--lease", "2", "--grace", "0"),
    )
    supervisor = Supervisor(
        command,
        count=count,
        grace=timedelta(0),
        environment=lambda _number: {"TASKLINE_REDIS_URL": redis_url},
        backoff=Backoff(first=timedelta(milliseconds=100)),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        try:
            yield
        finally:
            supervisor.stop()


async def ended(stack: Stack, task_id: str) -> Task:
    """The task, when it has ended."""
    async for _ in stack.client.watch(task_id):
        pass
    return await stack.client.get(task_id)


async def enqueue(stack: Stack, *task_types: str) -> list[str]:
    handles = await stack.client.enqueue_many([EnqueueRequest(name) for name in task_types])
    return [handle.id for handle in handles]


@pytest.mark.timeout(150)
async def test_only_the_poisonous_fail_of_many_tasks_beside_them(
    stack: Stack, redis_url: str
) -> None:
    pills = ["exit", "segfault", "spin"]
    innocents = ["innocent", "innocent_plain"] * (INNOCENTS // 2)
    mixed = [*innocents[:20], *pills, *innocents[20:]]
    async with workers(stack, redis_url, count=2):
        ids = await enqueue(stack, *mixed)
        async with asyncio.timeout(120):
            outcomes = [await ended(stack, task_id) for task_id in ids]

    errors = {t.task_type: t.error for t in outcomes if t.state is TaskState.FAILED}
    assert {name: error and error.error_type for name, error in errors.items()} == {
        "exit": ErrorType.WORKER_LOST,
        "segfault": ErrorType.WORKER_LOST,
        "spin": ErrorType.TIMEOUT,
    }
    completed = [t for t in outcomes if t.state is TaskState.COMPLETED]
    assert len(completed) == INNOCENTS
    # Each pill had three workers, the last two of them to itself.
    assert {t.attempts for t in outcomes if t.task_type in ("exit", "segfault")} == {3}
    # So no task can have been lost more often than there are pills that kill a worker.
    assert max(t.attempts for t in completed) <= 3


async def test_a_task_that_blocks_the_event_loop_for_good_has_timed_out_and_the_others_go_on(
    stack: Stack, redis_url: str
) -> None:
    async with workers(stack, redis_url, count=1):
        block, beside = await enqueue(stack, "block", "innocent_plain")
        async with asyncio.timeout(60):
            blocked, other = await ended(stack, block), await ended(stack, beside)

    assert (blocked.error and blocked.error.error_type) == ErrorType.TIMEOUT
    # Both attempts: the second one in a child, where it could be killed.
    assert (blocked.state, blocked.attempts) == (TaskState.FAILED, 2)
    assert other.state is TaskState.COMPLETED


async def test_a_task_that_sleeps_on_the_event_loop_times_out_and_its_worker_lives_on(
    stack: Stack, redis_url: str
) -> None:
    async with workers(stack, redis_url, count=1):
        before = await (await stack.client.enqueue("pid")).result(timeout=LIMIT)
        (sleep,) = await enqueue(stack, "sleep")
        async with asyncio.timeout(20):
            slept = await ended(stack, sleep)
        after = await (await stack.client.enqueue("pid")).result(timeout=LIMIT)

    assert (slept.error and slept.error.error_type) == ErrorType.TIMEOUT
    assert before == after


@pytest.mark.parametrize("task_type", ["stubborn", "stubborn_child"])
async def test_a_worker_told_to_end_gives_back_what_ignores_it_and_exits_with_0(
    stack: Stack, redis_url: str, task_type: str
) -> None:
    stack.tasks.include(tasks)
    worker = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("taskline"),
        *("worker", "--tasks", "tests.e2e.poison_tasks:tasks"),
        *("--namespace", stack.store.keys.namespace, *divided(stack.store), "--grace", "0"),
        env=os.environ | {"TASKLINE_REDIS_URL": redis_url},
    )
    try:
        await stack.client.enqueue(task_type, options=EnqueueOptions(task_id="s"))
        await stack.until("s", lambda task: task.progress.current > 0)
        worker.terminate()
        async with asyncio.timeout(20):
            code = await worker.wait()
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()

    task = (await stack.stub.GetTask(pb.GetTaskRequest(task_id="s"))).task
    assert (code, task.state) == (0, task_pb2.Task.STATE_QUEUED)
    assert not task.HasField("error")
