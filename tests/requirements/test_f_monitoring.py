"""D52, F8, F11, F12, FT8, C13: following a task to its end, however long it is silent."""

import asyncio
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import _channel
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


async def store_calls(stack: Stack) -> int:
    """How many scripts the store has run since its start."""
    stats = (await stack.store.redis.call(b"INFO", b"commandstats")).decode()
    (line,) = (line for line in stats.splitlines() if line.startswith("cmdstat_evalsha:"))
    return int(line.split("calls=")[1].split(",")[0])


async def test_d52_a_silent_task_keeps_its_watch_alive_and_still_ends_in_it(stack: Stack) -> None:
    go = asyncio.Event()

    @stack.tasks.task("silent")
    async def silent() -> str:
        await go.wait()
        return "done"

    task = await enqueue(stack, "silent")
    kinds = list[str]()
    request = service.WatchRequest(task_ids=[task.id], heartbeat_interval=Duration(seconds=1))
    async with stack.worker(), asyncio.timeout(20):
        async for event in stack.stub.Watch(request):
            kinds.append(event.WhichOneof("event") or "")
            if kinds.count("heartbeat") == 2:
                go.set()

    assert kinds[0] == "snapshot"
    assert kinds.count("heartbeat") >= 2
    assert kinds[-1] == "ended"


async def test_f8_2_and_f8_3_the_last_progress_comes_before_the_end_with_its_result(
    stack: Stack,
) -> None:
    @stack.tasks.task("counts")
    async def counts(ctx: TaskContext) -> int:
        await ctx.progress.set_total(50)
        for _ in range(50):
            await ctx.progress.increment()
        return 50

    task = await enqueue(stack, "counts")
    async with stack.worker():
        events = await whole_life(stack, task.id)

    progress = [event.progress.current for event in events if event.HasField("progress")]
    assert progress[-1] == 50
    assert events[-2].HasField("progress")
    assert events[-1].ended.result.json.number_value == 50


@pytest.mark.parametrize("fails", [True, False])
async def test_f8_4_progress_of_a_task_that_fails_stays_where_it_was(
    stack: Stack, fails: bool
) -> None:
    @stack.tasks.task("half", max_attempts=1)
    async def half(ctx: TaskContext) -> None:
        await ctx.progress.set_total(10)
        await ctx.progress.set_current(5 if fails else 10)
        if fails:
            raise ValueError("no further")

    task = await enqueue(stack, "half")
    async with stack.worker():
        await result_within(stack, task.id)

    shown = (await get_task(stack, task.id)).progress
    assert (shown.current, shown.total) == (5 if fails else 10, 10)


async def test_f8_5_who_waits_and_who_watches_ends_on_a_cancellation(stack: Stack) -> None:
    @stack.tasks.task("never.run")
    async def never_run() -> None: ...

    task = await enqueue(stack, "never.run")
    waiting = asyncio.create_task(result_within(stack, task.id))
    call = stack.stub.Watch(service.WatchRequest(task_ids=[task.id]))
    await call.read()
    await stack.stub.CancelTask(service.CancelTaskRequest(task_id=task.id))
    end = await call.read()

    assert isinstance(end, pb.TaskEvent)
    assert end.ended.state == State.STATE_CANCELLED
    assert (await waiting).task.state == State.STATE_CANCELLED


async def test_f11_1_waiting_reads_nothing_from_the_store_while_it_waits(stack: Stack) -> None:
    @stack.tasks.task("never.run")
    async def never_run() -> None: ...

    task = await enqueue(stack, "never.run")
    calls = [stack.stub.Watch(service.WatchRequest(task_ids=[task.id])) for _ in range(50)]
    for call in calls:
        await call.read()
    before = await store_calls(stack)
    await result_within(stack, task.id, timedelta(seconds=1))
    during = await store_calls(stack) - before
    for call in calls:
        call.cancel()

    # The wait itself reads at its beginning; upkeep and the like look once in a while.
    assert during < 25


async def test_f12_3_idle_streams_are_checked_every_half_minute() -> None:
    options = dict(_channel._KEEPALIVE)

    assert options["grpc.keepalive_time_ms"] == 30_000
    assert options["grpc.keepalive_permit_without_calls"] == 1


async def test_f12_4_and_c13_a_retry_is_told_and_who_waits_goes_on_waiting(stack: Stack) -> None:
    @stack.tasks.task("flaky", max_attempts=2)
    async def flaky(ctx: TaskContext) -> str:
        if ctx.attempt == 1:
            raise ValueError("once")
        return "done"

    request = service.EnqueueRequest(task_type="flaky")
    request.retry_policy.initial_backoff.FromMilliseconds(10)
    task = (await stack.stub.Enqueue(request)).task
    waiting = asyncio.create_task(result_within(stack, task.id))
    async with stack.worker():
        events = await whole_life(stack, task.id)

    told = states_told(events)
    assert State.STATE_RETRYING in told
    assert State.STATE_FAILED not in told
    (retrying,) = (e for e in events if e.state_changed.state == State.STATE_RETRYING)
    assert retrying.state_changed.error.message == "once"
    assert (await waiting).result.json.string_value == "done"


@pytest.mark.parametrize("fails", [True, False])
async def test_ft8_streaming_and_asking_give_the_same_outcome(stack: Stack, fails: bool) -> None:
    @stack.tasks.task("either", max_attempts=1)
    async def either() -> dict[str, list[int | None]]:
        if fails:
            raise ValueError("no good")
        return {"values": [1, None, 2]}

    task = await enqueue(stack, "either")
    async with stack.worker():
        streamed = (await whole_life(stack, task.id))[-1].ended
    asked = await get_result(stack, task.id)

    assert streamed.state == asked.task.state
    assert streamed.WhichOneof("outcome") == asked.WhichOneof("outcome")
    assert streamed.result == asked.result
    assert streamed.error == asked.error
