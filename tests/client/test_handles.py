"""What a handle is good for, against a real service: results, errors, gathering, events."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import (
    Ended,
    EnqueueOptions,
    ErrorType,
    LogLine,
    Output,
    Snapshot,
    StateChanged,
    TaskCancelled,
    TaskFailed,
    TaskFilter,
    TaskHandle,
    TaskState,
    TaskTimeout,
)
from taskline_client._results import result_json
from taskline_service import TaskContext, TaskRegistry
from tests.stack import Stack

tasks = TaskRegistry()
SOON = timedelta(milliseconds=50)


class Unspoken(Exception):
    """An exception that only the service has."""


@tasks.task("ends", max_attempts=1)
async def ends(with_error: str = "") -> str:
    match with_error:
        case "":
            return "fine"
        case "builtin":
            raise ZeroDivisionError("by zero")
        case "own":
            raise Unspoken("no")
        case "unicode":
            b"\xff".decode("ascii")
    raise AssertionError(with_error)


@tasks.task("waits", max_attempts=1)
async def waits() -> None:
    await asyncio.Event().wait()


@tasks.task("talks")
async def talks(ctx: TaskContext, lines: int) -> AsyncIterator[int]:
    for number in range(lines):
        await ctx.log(f"line {number}")
        yield number


async def test_a34_results_are_gathered_in_the_order_of_the_handles(stack: Stack) -> None:
    stack.tasks.include(tasks)
    turns = asyncio.Event()

    @stack.tasks.task("first")
    async def first() -> int:
        await turns.wait()
        return 1

    @stack.tasks.task("second")
    async def second() -> str:
        turns.set()
        return "two"

    async with stack.worker():
        handles = await stack.client.enqueue(first), await stack.client.enqueue(second)

        assert await stack.client.gather(*handles) == (1, "two")
        assert await stack.client.gather() == ()


async def test_a34_the_first_failure_ends_a_gathering_and_the_others_go_on(stack: Stack) -> None:
    stack.tasks.include(tasks)

    async with stack.worker():
        before = asyncio.all_tasks()
        goes_on = await stack.client.enqueue(waits)
        fails = await stack.client.enqueue(ends, "builtin")
        with pytest.raises(TaskFailed, match="by zero"):
            await stack.client.gather(goes_on, fails)

        assert not [t for t in asyncio.all_tasks() - before if "result" in str(t.get_coro())]
        assert (await goes_on.get()).state is TaskState.RUNNING
        await goes_on.cancel()
        with pytest.raises(TaskCancelled):
            await goes_on.result()


async def test_a34_errors_can_take_the_place_of_results(stack: Stack) -> None:
    stack.tasks.include(tasks)
    client = stack.client

    async with stack.worker():
        handles = [await client.enqueue(ends, error) for error in ("", "own", "")]
        first, second, third = await client.gather(*handles, return_exceptions=True)
        late = await client.gather(
            await client.enqueue(waits), handles[0], timeout=SOON, return_exceptions=True
        )

    assert (first, third) == ("fine", "fine")
    assert isinstance(second, TaskFailed)
    assert second.task_id == handles[1].id
    assert isinstance(late[0], TaskTimeout)
    assert late[1] == "fine"


async def test_a34_a_gathering_that_is_cancelled_waits_for_nothing_more(stack: Stack) -> None:
    stack.tasks.include(tasks)

    async with stack.worker():
        handles = [await stack.client.enqueue(waits) for _ in range(3)]
        before = asyncio.all_tasks()
        gathering = asyncio.create_task(stack.client.gather(*handles))
        while len(asyncio.all_tasks() - before) < 1 + len(handles):
            await stack.state(handles[0].id)
        gathering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathering

        assert not [t for t in asyncio.all_tasks() - before if "result" in str(t.get_coro())]
        assert (await handles[0].get()).state in (TaskState.QUEUED, TaskState.RUNNING)


async def test_run_enqueues_and_waits(stack: Stack) -> None:
    stack.tasks.include(tasks)

    async with stack.worker():
        assert await stack.client.run(ends) == "fine"
        assert await stack.client.run("ends", {}) == "fine"
        with pytest.raises(TaskFailed):
            await stack.client.run(ends, EnqueueOptions(task_id="t-1"), with_error="own")

    assert (await stack.client.get("t-1")).state is TaskState.FAILED


@pytest.mark.parametrize(
    ("error", "raised"),
    [("builtin", ZeroDivisionError), ("own", TaskFailed), ("unicode", TaskFailed)],
)
async def test_d30_a_failure_is_raised_again_as_what_it_was(
    stack: Stack, error: str, raised: type[Exception]
) -> None:
    stack.tasks.include(tasks)

    async with stack.worker():
        handle = await stack.client.enqueue(ends, error)
        with pytest.raises(raised) as caught:
            await handle.result(reraise=True)

    shown = "".join(traceback.format_exception(caught.value))
    assert f"Remote traceback of task {handle.id}" in "".join(caught.value.__notes__)
    assert "async def ends" not in shown
    assert shown.count("in ends") == shown.count("Remote traceback of task") == 1
    if raised is not TaskFailed:
        assert str(caught.value) == "by zero"
        assert isinstance(caught.value.__cause__, TaskFailed)
        assert caught.value.__cause__.error.error_type is ErrorType.RUNTIME


@pytest.mark.parametrize(
    "name", ["StopIteration", "KeyboardInterrupt", "UnicodeDecodeError", "print", "NoSuchError"]
)
def test_what_would_mean_something_else_here_is_not_raised_again(name: str) -> None:
    error = pb.TaskError(message="no", exception_class=f"builtins.{name}")
    answer = service.GetResultResponse(
        task=pb.Task(id="t", state=pb.Task.STATE_FAILED), error=error
    )

    with pytest.raises(TaskFailed):
        result_json(answer, waited=SOON, reraise=True)


async def test_a_wait_has_a_timeout_or_a_deadline_and_not_both(stack: Stack) -> None:
    stack.tasks.include(tasks)
    client, soon = stack.client, datetime.now(UTC) + SOON
    handle = await client.enqueue(ends)

    with pytest.raises(ValueError, match="not both"):
        await handle.result(timeout=SOON, deadline=soon)
    with pytest.raises(ValueError, match="not both"):
        await client.gather(handle, timeout=SOON, deadline=soon)
    with pytest.raises(ValueError, match="not be negative"):
        await client.gather(handle, timeout=-SOON)
    with pytest.raises(ValueError, match="aware"):
        await handle.result(deadline=datetime(2026, 1, 1))  # the point
    with pytest.raises(TimeoutError):
        await client.gather(handle, deadline=soon)


async def test_the_story_of_a_task_is_told_from_the_start(stack: Stack) -> None:
    stack.tasks.include(tasks)

    async with stack.worker():
        handle: TaskHandle[None] = await stack.client.enqueue(talks, lines=150)
        await handle.result()
        events = [event async for event in handle.events()]

    assert [e.message for e in events if isinstance(e, LogLine)] == [
        f"line {number}" for number in range(150)
    ]
    assert [e.value for e in events if isinstance(e, Output)] == list(range(150))
    assert [e.state for e in events if isinstance(e, StateChanged)][-1] is TaskState.RUNNING
    assert isinstance(events[-1], Ended)
    assert not any(isinstance(e, Snapshot) and e.gap for e in events)


async def test_o36_o40_o42_statistics_count_states_errors_and_types(stack: Stack) -> None:
    stack.tasks.include(tasks)
    client = stack.client

    async with stack.worker():
        handles = [await client.enqueue(ends, error) for error in ("", "", "", "own")]
        await client.gather(*handles, return_exceptions=True)
        await client.enqueue(waits, EnqueueOptions(delay=timedelta(hours=1)))
        stats = await client.stats(window=timedelta(minutes=5))
        elsewhere = await client.stats(queues=["nowhere"])

    assert (stats.total, stats.success_rate) == (5, 0.75)
    assert {state: count for state, count in stats.states.items() if count} == {
        TaskState.SCHEDULED: 1,
        TaskState.COMPLETED: 3,
        TaskState.FAILED: 1,
    }
    assert stats.error_types == {ErrorType.RUNTIME: 1}
    assert [(each.task_type, each.success_rate) for each in stats.task_types] == [
        ("ends", 0.75),
        ("waits", 0.0),
    ]
    assert sum(bucket.completed for bucket in stats.history) == 3
    assert any(bucket.run_time_p95 is not None for bucket in stats.history)
    assert elsewhere.total == 0


async def test_o42_o43_lists_can_be_had_by_kind_of_error_and_by_attempts(stack: Stack) -> None:
    stack.tasks.include(tasks)
    client = stack.client

    async with stack.worker():
        handles = [await client.enqueue(ends, error) for error in ("", "own")]
        await client.gather(*handles, return_exceptions=True)
    waiting = await client.enqueue(ends)

    async def listed(tasks: TaskFilter) -> set[str]:
        return {task.id async for task in client.list_tasks(tasks, page_size=1)}

    assert await listed(TaskFilter(error_types=[ErrorType.RUNTIME])) == {handles[1].id}
    assert await listed(TaskFilter(min_attempts=1)) == {handle.id for handle in handles}
    assert waiting.id in await listed(TaskFilter())
