"""D1-D14: the states of a task, looked at and watched."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from statistics import median

import grpc
import pytest

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import Ended, ProgressReported, Snapshot, StateChanged, TaskState
from taskline_service import TaskContext
from tests.requirements.wire import (
    State,
    enqueue,
    get_result,
    get_task,
    result_within,
    states_told,
    whole_life,
)
from tests.stack import Stack


async def test_d1_a_function_that_knows_nothing_of_it_is_tracked(stack: Stack) -> None:
    @stack.tasks.task("plain")
    def plain() -> int:
        return 7

    async with stack.worker():
        task = await enqueue(stack, "plain")
        events = await whole_life(stack, task.id)

    assert events[-1].ended.result.json.number_value == 7
    assert (await get_task(stack, task.id)).state == State.STATE_COMPLETED
    assert (await get_result(stack, task.id)).result.json.number_value == 7


@pytest.mark.parametrize(
    ("delay", "state"),
    [
        pytest.param(None, State.STATE_QUEUED, id="at once"),
        pytest.param(timedelta(hours=1), State.STATE_SCHEDULED, id="delayed"),
    ],
)
async def test_d2_enqueue_answers_with_the_whole_task(
    stack: Stack, delay: timedelta | None, state: State.ValueType
) -> None:
    @stack.tasks.task("greet", queue="mail", max_attempts=5)
    async def greet(name: str) -> None: ...

    enqueued = await enqueue(stack, "greet", delay=delay, name="Ada")
    request = service.GetTaskRequest(task_id=enqueued.id, view=pb.TASK_VIEW_BASIC)
    stored = (await stack.stub.GetTask(request)).task

    assert enqueued == stored
    assert enqueued.state == state
    assert (enqueued.queue, enqueued.max_attempts) == ("mail", 5)
    ahead = enqueued.schedule_time.ToDatetime() - enqueued.create_time.ToDatetime()
    assert ahead == (delay or timedelta(0))


async def test_d3_get_task_tells_the_present_state(stack: Stack) -> None:
    gate = asyncio.Event()

    @stack.tasks.task("gated")
    async def gated() -> None:
        await gate.wait()

    task = await enqueue(stack, "gated")
    states = [await stack.state(task.id)]
    async with stack.worker():
        await stack.until(task.id, lambda seen: seen.attempts == 1)
        states.append(await stack.state(task.id))
        gate.set()
        await result_within(stack, task.id)
    states.append(await stack.state(task.id))

    assert states == [State.STATE_QUEUED, State.STATE_RUNNING, State.STATE_COMPLETED]


async def test_d4_d5_an_ended_task_has_its_end_and_its_error(stack: Stack) -> None:
    @stack.tasks.task("divide", max_attempts=1)
    def divide(dividend: int, divisor: int) -> int:
        return dividend // divisor

    async with stack.worker():
        good = await enqueue(stack, "divide", dividend=6, divisor=3)
        bad = await enqueue(stack, "divide", dividend=1, divisor=0)
        await result_within(stack, good.id)
        await result_within(stack, bad.id)
    completed, failed = await get_task(stack, good.id), await get_task(stack, bad.id)

    assert completed.HasField("end_time") and not completed.HasField("error")
    assert failed.HasField("end_time") and failed.error.exception_class.endswith(
        ".ZeroDivisionError"
    )


async def test_d6_a_running_task_names_its_worker_and_its_start(stack: Stack) -> None:
    gate = asyncio.Event()

    @stack.tasks.task("gated")
    async def gated() -> None:
        await gate.wait()

    async with stack.worker():
        task = await enqueue(stack, "gated")
        running = await stack.until(task.id, lambda seen: seen.state == State.STATE_RUNNING)
        workers = (await stack.admin.ListWorkers(admin.ListWorkersRequest())).workers
        gate.set()

    assert [worker.id for worker in workers] == [running.worker]
    assert running.HasField("start_time")


@pytest.mark.parametrize(
    ("divisor", "end"),
    [
        pytest.param(2, State.STATE_COMPLETED, id="completed"),
        pytest.param(0, State.STATE_FAILED, id="failed"),
    ],
)
async def test_d7_a_delayed_task_goes_through_all_states_in_order(
    stack: Stack, divisor: int, end: State.ValueType
) -> None:
    @stack.tasks.task("divide", max_attempts=1)
    def divide(dividend: int, divisor: int) -> float:
        return dividend / divisor

    async with stack.worker():
        delay = timedelta(milliseconds=1)
        task = await enqueue(stack, "divide", delay=delay, dividend=1, divisor=divisor)
        events = await whole_life(stack, task.id, task.resume_token)

    assert task.state == State.STATE_SCHEDULED
    assert states_told(events) == [State.STATE_QUEUED, State.STATE_RUNNING, end]


async def test_d8_watch_streams_typed_events(stack: Stack) -> None:
    @stack.tasks.task("steps")
    async def steps(ctx: TaskContext) -> str:
        await ctx.progress.increment()
        return "done"

    handle = await stack.client.enqueue("steps")
    async with aclosing(handle.watch()) as watch:
        events = [await anext(watch)]
        async with stack.worker():
            events += [event async for event in watch]

    assert [type(event) for event in events] == [Snapshot, StateChanged, ProgressReported, Ended]
    assert isinstance(events[0], Snapshot) and events[0].task.state is TaskState.QUEUED
    assert isinstance(events[-1], Ended) and events[-1].result == "done"


async def test_d9_every_change_of_state_is_one_event(stack: Stack) -> None:
    @stack.tasks.task("second.try", initial_backoff=timedelta(milliseconds=1))
    async def second_try(ctx: TaskContext) -> None:
        if ctx.attempt == 1:
            raise ConnectionError("not yet")

    async with stack.worker():
        task = await enqueue(stack, "second.try")
        events = await whole_life(stack, task.id, task.resume_token)

    assert states_told(events) == [
        State.STATE_RUNNING,
        State.STATE_RETRYING,
        State.STATE_QUEUED,
        State.STATE_RUNNING,
        State.STATE_COMPLETED,
    ]
    sequences = [event.sequence for event in events]
    assert sequences == sorted(set(sequences))


async def test_d10_progress_is_told_with_current_total_and_message(stack: Stack) -> None:
    @stack.tasks.task("steps")
    async def steps(ctx: TaskContext) -> None:
        await ctx.progress.set_total(3)
        for word in ("one", "two", "three"):
            await ctx.progress.set_message(word)
            await ctx.progress.increment()

    async with stack.worker():
        task = await enqueue(stack, "steps")
        events = await whole_life(stack, task.id, task.resume_token)

    told = [event.progress for event in events if event.HasField("progress")]
    assert told
    assert (told[-1].current, told[-1].total, told[-1].message) == (3, 3, "three")
    assert told[-1].HasField("update_time")
    assert events[-1].HasField("ended")


@pytest.mark.parametrize(
    ("total", "percentage"),
    [pytest.param(3.0, 33.33, id="known"), pytest.param(None, 0.0, id="unknown")],
)
async def test_d11_the_percentage_is_given_and_zero_while_the_total_is_unknown(
    stack: Stack, total: float | None, percentage: float
) -> None:
    @stack.tasks.task("one.step")
    async def one_step(total: float | None, ctx: TaskContext) -> None:
        await ctx.progress.set_total(total)
        await ctx.progress.increment()

    async with stack.worker():
        task = (await result_within(stack, (await enqueue(stack, "one.step", total=total)).id)).task

    assert task.state == State.STATE_COMPLETED
    assert task.progress.percentage == percentage
    assert task.progress.HasField("total") is (total is not None)


async def test_d12_the_server_ends_the_stream_with_ok_after_the_end_of_the_task(
    stack: Stack,
) -> None:
    @stack.tasks.task("quick")
    async def quick() -> None: ...

    async with stack.worker():
        task = await enqueue(stack, "quick")
        call = stack.stub.Watch(service.WatchRequest(task_ids=[task.id]))
        events = [event async for event in call]

    assert [event.HasField("ended") for event in events[:-1]] == [False] * (len(events) - 1)
    assert events[-1].HasField("ended")
    assert await call.code() is grpc.StatusCode.OK


async def test_d13_every_watcher_sees_everything_and_holds_up_nobody(stack: Stack) -> None:
    @stack.tasks.task("one.step")
    async def one_step(ctx: TaskContext) -> None:
        await ctx.progress.increment()

    task = await enqueue(stack, "one.step")
    calls = [stack.stub.Watch(service.WatchRequest(task_ids=[task.id])) for _ in range(4)]
    # All of them watch; the last one reads no further.
    first = [await anext(aiter(call)) for call in calls]
    async with stack.worker():
        seen = [[event async for event in call] for call in calls[:3]]
    calls[-1].cancel()

    assert all(event.HasField("snapshot") for event in first)
    assert [event.WhichOneof("event") for event in seen[0]] == [
        "state_changed",
        "progress",
        "ended",
    ]
    assert seen[0] == seen[1] == seen[2]


async def test_d14_an_event_reaches_its_watcher_in_real_time(stack: Stack) -> None:
    rounds = 15
    reported_at: list[float] = []
    seen_at: list[float] = []
    seen = asyncio.Event()

    @stack.tasks.task("in.steps")
    async def in_steps(ctx: TaskContext) -> None:
        for _ in range(rounds):
            seen.clear()
            reported_at.append(asyncio.get_running_loop().time())
            await ctx.progress.increment()
            await seen.wait()

    task = await enqueue(stack, "in.steps")
    request = service.WatchRequest(task_ids=[task.id], resume_token=task.resume_token)
    request.min_progress_interval.FromMilliseconds(20)
    async with stack.worker():
        async for event in stack.stub.Watch(request):
            if event.HasField("progress"):
                seen_at.append(asyncio.get_running_loop().time())
                seen.set()

    delays = [after - before for before, after in zip(reported_at, seen_at, strict=True)]
    assert len(delays) == rounds
    assert median(delays) < 0.25
