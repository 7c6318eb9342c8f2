"""Tasks that enqueue others and wait for them: wherever they run, a full worker goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskline_client import RetryPolicy, TaskFailed, TaskState, TaskType
from taskline_service import (
    ConflictPolicy,
    EnqueueOptions,
    SubtaskCancelled,
    SubtaskRefused,
    TaskContext,
)
from taskline_service.limits import PayloadSizes
from taskline_service.store import TaskStore, parse_redis_url
from taskline_service.worker import Worker, slots
from tests.stack import Stack
from tests.worker.subtask_tasks import fibonacci, leaf, on_loop, order, tasks

LIMIT = timedelta(seconds=30)
TASKS_AT = "tests.worker.subtask_tasks:tasks"


@pytest.fixture(autouse=True)
def known_types(stack: Stack) -> None:
    stack.tasks.include(tasks)


@asynccontextmanager
async def working(stack: Stack, **options: Any) -> AsyncIterator[Worker]:
    async with stack.worker(tasks_at=TASKS_AT, **options) as worker:
        yield worker


async def run(stack: Stack, task: str, **arguments: Any) -> Any:
    return await (await stack.client.enqueue(task, arguments)).result(timeout=LIMIT)


@pytest.mark.parametrize("place", ["on_loop", "in_thread", "in_process", "in_process_loop"])
async def test_d33_a35_a_task_waits_for_its_own_on_a_worker_with_one_slot(
    stack: Stack, place: str
) -> None:
    async with working(stack, concurrency=1):
        assert await run(stack, place, count=5) == 30


async def test_a35_tasks_wait_for_tasks_that_wait_for_tasks(stack: Stack) -> None:
    async with working(stack, concurrency=1):
        assert await stack.client.run(fibonacci, 7) == 13


async def test_a35_tasks_in_processes_wait_for_others_of_their_own_type(stack: Stack) -> None:
    async with working(stack, concurrency=1):
        assert await run(stack, "depth_in_processes", depth=3) == 3


async def test_a35_no_more_tasks_are_at_work_than_there_are_slots(stack: Stack) -> None:
    at_work, most = 0, 0

    async def work() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        for _ in range(20):
            await asyncio.sleep(0)
        at_work -= 1

    @stack.tasks.task("part")
    async def part() -> None:
        await work()

    @stack.tasks.task("whole")
    async def whole(ctx: TaskContext) -> None:
        for _ in range(3):
            await work()
            await ctx.run(part)
        await work()

    async with working(stack, concurrency=2):
        handles = [await stack.client.enqueue(whole) for _ in range(10)]
        await stack.client.gather(*handles, timeout=LIMIT)

    assert most == 2


async def test_a35_ever_more_waiting_tasks_do_not_keep_those_from_running_that_they_wait_for(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "MOST_WAITING", 3)
    waiting, most = 0, 0

    @stack.tasks.task("waits")
    async def waits(ctx: TaskContext) -> int:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        number = await ctx.run(leaf, 3)
        waiting -= 1
        return number

    async with working(stack, concurrency=2):
        handles = [await stack.client.enqueue(waits) for _ in range(40)]
        results = await stack.client.gather(*handles, timeout=LIMIT)

    assert results == (9,) * 40
    assert most <= 3 + 2


async def test_a_subtask_belongs_to_the_trace_of_the_task(stack: Stack) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    async with working(stack):
        answer = await stack.stub.Enqueue(
            request(trace_context={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        )
        await stack.client.handle(answer.task.id).result()
        traces = {task.id: task.trace_id async for task in stack.client.list_tasks()}

    assert len(traces) == 3
    assert set(traces.values()) == {trace}


def request(**fields: Any) -> Any:
    from taskline.v1 import task_pb2, task_service_pb2

    task_input = task_pb2.Payload(json_bytes=b'{"count": 2}')
    return task_service_pb2.EnqueueRequest(task_type="on_loop", input=task_input, **fields)


@pytest.mark.one_partition
async def test_the_limits_of_a_worker_are_those_of_the_tasks_that_its_tasks_enqueue(
    store: TaskStore, redis_url: str
) -> None:
    reasons = list[str]()
    limited = TaskStore(store.redis, store.keys, max_queued=1)
    sizes = PayloadSizes(max_input=100)
    async with Stack.running(limited, parse_redis_url(redis_url), sizes=sizes) as stack:

        @stack.tasks.task("never.run", queue="elsewhere")
        async def never_run(text: str) -> None: ...

        @stack.tasks.task("asks")
        async def asks(ctx: TaskContext) -> None:
            for text in ("first", "second", "x" * 100):
                try:
                    await ctx.enqueue(never_run, text)
                except SubtaskRefused as refused:
                    reasons.append(refused.reason)

        async with stack.worker(queues=["default"]):
            await stack.client.run(asks)

    assert reasons == ["QUEUE_FULL", "PAYLOAD_TOO_LARGE"]


async def test_what_a_caller_would_be_refused_is_refused_to_a_task(stack: Stack) -> None:
    told: list[tuple[str, str]] = []

    @stack.tasks.task("asks")
    async def asks(ctx: TaskContext) -> None:
        wrong = TaskType[Any, Any]("leaf")
        for task, arguments in (("leef", ()), (wrong, ({"number": "x"},))):
            try:
                await ctx.enqueue(task, *arguments)
            except SubtaskRefused as refused:
                told.append((refused.reason, str(refused)))
        with pytest.raises(TypeError):
            await ctx.enqueue(leaf)  # type: ignore[call-overload]  # the point
        with pytest.raises(RuntimeError, match="await it instead"):
            ctx.wait_for(asyncio.sleep(0))

    async with working(stack):
        await stack.client.run(asks)

    assert told == [
        ("TASK_TYPE_NOT_FOUND", "task type 'leef' not found; did you mean 'leaf'?"),
        ("INVALID_INPUT", "input.number: must be an integer"),
    ]


async def test_the_failure_of_a_subtask_is_told_with_its_traceback(stack: Stack) -> None:
    async with working(stack):
        told = await run(stack, "catches")
        with pytest.raises(TaskFailed) as failed:
            await run(stack, "on_loop_of_failures")

    assert told == [
        "builtins.ValueError",
        "ValueError: below zero",
        "did not complete within 0.05 seconds",
    ]
    assert failed.value.error.exception_class == "taskline_service.tasks.subtasks.SubtaskFailed"
    assert "ValueError: below zero" in failed.value.error.traceback


@pytest.mark.parametrize("place", ["waits_on_loop", "waits_in_thread", "waits_in_process"])
async def test_a_task_that_waits_can_be_cancelled_and_leaves_its_slot(
    stack: Stack, place: str
) -> None:
    async with working(stack, concurrency=1):
        handle = await stack.client.enqueue(place)
        waiting = await stack.until(handle.id, lambda task: bool(task.progress.message))
        await stack.client.handle(waiting.progress.message).cancel()
        with pytest.raises(TaskFailed, match="SubtaskCancelled"):
            await handle.result(timeout=LIMIT)

        handle = await stack.client.enqueue(place)
        waiting = await stack.until(handle.id, lambda task: bool(task.progress.message))
        part = stack.client.handle(waiting.progress.message)
        await stack.until(part.id, lambda task: task.state == task.STATE_RUNNING)
        await handle.cancel()
        await stack.until(handle.id, lambda task: task.state == task.STATE_CANCELLED)

        assert (await part.get()).state is TaskState.RUNNING
        await part.cancel()
        assert await stack.client.run(on_loop, 3) == 5


async def test_an_attempt_that_is_repeated_can_go_on_with_the_subtasks_of_the_one_before(
    stack: Stack,
) -> None:
    @stack.tasks.task("again", initial_backoff=timedelta(0))
    async def again(ctx: TaskContext) -> list[bool]:
        mine = EnqueueOptions(
            task_id=f"{ctx.task_id}.1",
            conflict_policy=ConflictPolicy.USE_EXISTING,
            labels={"of": "me"},
        )
        part = await ctx.enqueue(leaf, mine, 4)
        if ctx.attempt == 1:
            await part.result()
            raise ConnectionError("not yet")
        other = await ctx.enqueue(leaf, 4)
        return [part.created, other.created, await part.result() == 16]

    async with working(stack):
        handle = await stack.client.enqueue(again)
        assert await handle.result() == [False, True, True]
        part = await stack.client.get(f"{handle.id}.1")

    assert (part.attempts, part.labels) == (1, {"of": "me"})


@pytest.mark.parametrize("place", ["here", "in_process"])
async def test_a_subtask_is_enqueued_as_its_options_say(stack: Stack, place: str) -> None:
    @stack.tasks.task("orders.here", max_attempts=1)
    async def here(ctx: TaskContext, due: datetime) -> list[str]:
        return await order(ctx, due)

    due = datetime.now(UTC) + timedelta(days=100)
    async with working(stack):
        task_type = {"here": "orders.here", "in_process": "orders.in_process"}[place]
        ids = await stack.client.run(task_type, due=due)
        first, second = [await stack.client.get(task_id) for task_id in ids]

    assert ids[0] == f"part.{task_type}"
    assert first.schedule_time == due
    assert (first.queue, first.priority, first.labels) == ("later", 9, {"a": "b"})
    assert first.execution_timeout == timedelta(minutes=2)
    assert first.queue_timeout == timedelta(days=1)
    assert first.retry_policy == RetryPolicy(
        max_attempts=7,
        initial_backoff=timedelta(seconds=1),
        max_backoff=timedelta(minutes=30),
        backoff_multiplier=1.5,
    )
    # By the request_id alone.
    assert (second.id, second.priority) == (f"again.{task_type}", 3)


async def test_the_failures_of_subtasks_can_stand_in_the_places_of_their_results(
    stack: Stack,
) -> None:
    @stack.tasks.task("gathers")
    async def gathers(ctx: TaskContext) -> list[str]:
        parts = [await ctx.enqueue(leaf, number) for number in (2, -1, 3)]
        stopped = await ctx.enqueue("never")
        await stopped.cancel()
        ends: tuple[object, ...] = await ctx.gather(*parts, stopped, return_exceptions=True)
        return [str(end) if isinstance(end, int) else type(end).__name__ for end in ends]

    async with working(stack):
        assert await stack.client.run(gathers) == ["4", "SubtaskFailed", "9", "SubtaskCancelled"]


async def test_a_wait_for_a_subtask_has_a_span(stack: Stack) -> None:
    @stack.tasks.task("hasty")
    async def hasty(ctx: TaskContext) -> int:
        part = await ctx.enqueue(leaf, 2)
        with pytest.raises(TypeError, match="timeout must be a timedelta, not int"):
            await part.result(timeout=3)  # type: ignore[arg-type]  # the point
        return await part.result(timeout=timedelta.max)

    async with working(stack):
        assert await stack.client.run(hasty) == 4


async def test_a_subtask_can_be_cancelled(stack: Stack) -> None:
    @stack.tasks.task("stops")
    async def stops(ctx: TaskContext) -> str:
        part = await ctx.enqueue("never")
        await part.cancel("not needed")
        with pytest.raises(SubtaskCancelled, match="not needed") as cancelled:
            await part.result()
        return cancelled.value.task_id

    async with working(stack):
        task_id = await stack.client.run(stops)

    assert (await stack.client.get(task_id)).state is TaskState.CANCELLED


async def test_code_that_is_tested_without_a_worker_says_so(stack: Stack) -> None:
    from taskline_service.tasks import ProgressReporter

    ctx = TaskContext(
        task_id="t",
        task_type="t",
        attempt=1,
        worker="w",
        progress=ProgressReporter(lambda _: None, task_id="t"),
    )

    with pytest.raises(RuntimeError, match="no worker"):
        await ctx.run(leaf, 1)
