"""D52, F8, F11, F12, FT8, C13: following a task to its end, however long it is silent."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import Ended, TaskClient, _channel, _patience
from taskline_service import TaskContext
from tests.client.scripted import Context, ScriptedServer, completed, refuse, snapshot
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


async def test_f8_1_state_progress_and_outcome_are_those_of_one_instant(stack: Stack) -> None:
    @stack.tasks.task("counts", max_attempts=2, initial_backoff=timedelta(0))
    async def counts(ctx: TaskContext) -> int:
        await ctx.progress.set_total(10)
        for _ in range(5 * ctx.attempt):
            await ctx.progress.increment()
        if ctx.attempt == 1:
            raise ConnectionError("half of it")
        return 10

    ids = [(await enqueue(stack, "counts")).id for _ in range(20)]
    seen = list[service.GetResultResponse]()

    async def look(task_id: str) -> None:
        while not seen or not any(a.task.id == task_id and a.task.end_time.seconds for a in seen):
            seen.append(await get_result(stack, task_id))

    async with stack.worker():
        await asyncio.gather(*map(look, ids))

    for answer in seen:
        task = answer.task
        ended = task.state == State.STATE_COMPLETED
        assert ended is task.HasField("end_time") is answer.HasField("result")
        assert task.HasField("error") is (
            task.state == State.STATE_RETRYING
            or (task.state == State.STATE_QUEUED and task.attempts == 1)
        )
        if ended:
            assert (task.progress.current, answer.result.json.number_value) == (10, 10)
        if task.HasField("error"):
            assert task.progress.current == 5
    assert {answer.task.state for answer in seen} > {State.STATE_COMPLETED}


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
        events = await whole_life(stack, task.id, task.resume_token)

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


async def test_f8_6_each_change_of_state_is_in_the_story_once(stack: Stack) -> None:
    @stack.tasks.task("flaky", max_attempts=2, initial_backoff=timedelta(0))
    async def flaky(ctx: TaskContext) -> None:
        if ctx.attempt == 1:
            raise ValueError("once")

    async with stack.worker():
        task = await enqueue(stack, "flaky", delay=timedelta(milliseconds=1))
        for _ in range(3):  # to look and to wait changes nothing
            await result_within(stack, task.id)
        await stack.admin.RetryTask(admin.RetryTaskRequest(task_id=task.id))
        await result_within(stack, task.id)
    story = await stack.stub.ListTaskEvents(service.ListTaskEventsRequest(task_id=task.id))

    assert states_told(list(story.events)) == [
        State.STATE_SCHEDULED,
        State.STATE_QUEUED,
        State.STATE_RUNNING,
        State.STATE_RETRYING,
        State.STATE_QUEUED,
        State.STATE_RUNNING,
        State.STATE_COMPLETED,
        State.STATE_QUEUED,  # retried by an operator
        State.STATE_RUNNING,
        State.STATE_COMPLETED,
    ]
    sequences = [event.sequence for event in story.events]
    assert sequences == sorted(set(sequences))


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


async def test_f11_2_a_client_without_server_asks_less_and_less_often_and_soon_after_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is polled but a server that is not there."""
    pauses, news = list[float](), list[int]()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def watch(_: service.WatchRequest, context: Context) -> AsyncIterator[pb.TaskEvent]:
        if len(pauses) == 9:
            news.append(len(pauses))
            yield snapshot("t", State.STATE_RUNNING, token="1")
        if len(pauses) < 12:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        yield completed("t", b"0", token="2")

    monkeypatch.setattr(_patience, "random", SimpleNamespace(uniform=lambda _, longest: longest))
    monkeypatch.setattr(_patience, "asyncio", SimpleNamespace(sleep=pause))
    server = ScriptedServer(Watch=watch)
    await server.start()
    async with TaskClient(server.address, timeout=timedelta(minutes=1)) as client:
        events = [event async for event in client.watch("t")]
    await server.stop()

    assert isinstance(events[-1], Ended)
    assert pauses[:9] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert news == [9]
    assert pauses[9:] == [0.1, 0.2, 0.4]


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
    watch = aiter(stack.stub.Watch(service.WatchRequest(task_ids=[task.id])))
    events = [await anext(watch)]  # before there is a worker, which would be quick
    async with stack.worker():
        events += [event async for event in watch]

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
