"""Following tasks: typed events, and streams that go on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import grpc
import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import (
    Ended,
    EnqueueRequest,
    InvalidInput,
    LogLine,
    ProgressReported,
    ResumeTokenExpired,
    Snapshot,
    StateChanged,
    TaskClient,
    TaskEvent,
    TaskFilter,
    TaskHandle,
    TaskNotFound,
    TaskState,
    UnknownEvent,
)
from tests.client.conftest import Connect, Serve
from tests.client.scripted import Context, ScriptedServer, completed, progress, refuse, snapshot
from tests.stack import Stack


async def test_events_come_typed_and_heartbeats_stay_inside(connect: Connect) -> None:
    async def watch(_: service.WatchRequest, __: Context) -> AsyncIterator[pb.TaskEvent]:
        yield snapshot("t", pb.Task.STATE_QUEUED)
        yield pb.TaskEvent(heartbeat=pb.TaskEvent.Heartbeat())
        running = pb.TaskEvent.StateChanged(state=pb.Task.STATE_RUNNING, attempts=1, worker="w")
        yield pb.TaskEvent(task_id="t", state_changed=running)
        yield progress("t", 60, 100)
        yield pb.TaskEvent(task_id="t", log=pb.TaskEvent.LogEntry(message="half", percentage=50))
        yield completed("t", b"[null]")

    client = await connect(Watch=watch)

    events = [event async for event in client.handle("t").watch()]

    first, changed, reported, line, ended = events
    assert isinstance(first, Snapshot) and first.task.state is TaskState.QUEUED
    assert isinstance(changed, StateChanged) and changed.worker == "w"
    assert isinstance(reported, ProgressReported) and reported.progress.percentage == 60.0
    assert isinstance(line, LogLine) and line.percentage == 50
    assert isinstance(ended, Ended) and ended.has_result and ended.result == [None]


async def test_what_only_a_newer_server_knows_does_no_harm(connect: Connect) -> None:
    async def watch(_: service.WatchRequest, __: Context) -> AsyncIterator[pb.TaskEvent]:
        # Field 99 of a newer contract, a message of two bytes.
        yield pb.TaskEvent.FromString(b"\x0a\x01t\x9a\x06\x02\x08\x01")
        yield snapshot("t", pb.Task.State.ValueType(99))

    client = await connect(Watch=watch)

    unknown, first = [event async for event in client.watch("t")]

    assert isinstance(unknown, UnknownEvent)
    assert isinstance(first, Snapshot) and first.task.state is TaskState.UNKNOWN


def answer(state: pb.Task.State.ValueType, token: str) -> service.EnqueueResponse:
    task = pb.Task(id="t", task_type="demo.sleep", state=state, resume_token=token)
    task.update_time.FromSeconds(1_700_000_000)
    return service.EnqueueResponse(task=task, created=False)


async def enqueue_one(client: TaskClient) -> TaskHandle[Any]:
    return await client.enqueue("demo.sleep")


async def enqueue_one_of_many(client: TaskClient) -> TaskHandle[Any]:
    (handle,) = await client.enqueue_many([EnqueueRequest("demo.sleep")])
    return handle


@pytest.mark.parametrize("enqueue", [enqueue_one, enqueue_one_of_many])
async def test_the_watch_of_an_enqueued_task_tells_all_since_the_answer_each_once(
    connect: Connect, enqueue: Callable[[TaskClient], Awaitable[TaskHandle[Any]]]
) -> None:
    tokens: list[str] = []
    enqueued = answer(pb.Task.STATE_QUEUED, token="1")

    async def accept(_: service.EnqueueRequest, __: Context) -> service.EnqueueResponse:
        return enqueued

    async def accept_many(
        _: service.BatchEnqueueRequest, __: Context
    ) -> service.BatchEnqueueResponse:
        return service.BatchEnqueueResponse(responses=[enqueued])

    async def watch(request: service.WatchRequest, context: Context) -> AsyncIterator[pb.TaskEvent]:
        tokens.append(request.resume_token)
        if len(tokens) == 1:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        if len(tokens) == 2:
            yield progress("t", 1, 2, token="2")
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        yield completed("t", b"0", token="3")

    client = await connect(Enqueue=accept, BatchEnqueue=accept_many, Watch=watch)

    events = [event async for event in (await enqueue(client)).watch()]

    assert [type(event) for event in events] == [Snapshot, ProgressReported, Ended]
    assert tokens == ["1", "1", "2"]
    sequences = [event.sequence for event in events]
    assert sequences == sorted(set(sequences))
    first = events[0]
    assert isinstance(first, Snapshot) and first.task.state is TaskState.QUEUED
    assert first.event_time == first.task.update_time is not None
    assert (first.task_id, first.resume_token, first.gap) == ("t", "1", False)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(answer(pb.Task.STATE_COMPLETED, token="9"), id="ended"),
        pytest.param(answer(pb.Task.STATE_RUNNING, token=""), id="no token"),
    ],
)
async def test_where_no_token_leads_to_the_end_the_server_gives_the_snapshot(
    connect: Connect, found: service.EnqueueResponse
) -> None:
    tokens: list[str] = []

    async def enqueue(_: service.EnqueueRequest, __: Context) -> service.EnqueueResponse:
        return found

    async def watch(request: service.WatchRequest, _: Context) -> AsyncIterator[pb.TaskEvent]:
        tokens.append(request.resume_token)
        yield snapshot("t", found.task.state)
        yield completed("t", b"0")

    client = await connect(Enqueue=enqueue, Watch=watch)
    handle = await client.enqueue("demo.sleep")

    events = [event async for event in handle.watch()]

    assert [type(event) for event in events] == [Snapshot, Ended]
    assert tokens == [""]


async def test_a_broken_watch_goes_on_after_the_last_event(connect: Connect) -> None:
    tokens: list[str] = []

    async def watch(request: service.WatchRequest, context: Context) -> AsyncIterator[pb.TaskEvent]:
        tokens.append(request.resume_token)
        if len(tokens) == 1:
            yield snapshot("t", pb.Task.STATE_RUNNING, token="1")
            yield progress("t", 1, 2, token="2")
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        yield completed("t", b"0", token="3")

    client = await connect(Watch=watch)

    events = [event async for event in client.watch("t")]

    assert [type(event) for event in events] == [Snapshot, ProgressReported, Ended]
    assert tokens == ["", "2"]


async def test_a_watch_survives_the_restart_of_its_server(serve: Serve) -> None:
    tokens: list[str] = []
    forever = asyncio.Event()

    async def watch(request: service.WatchRequest, _: Context) -> AsyncIterator[pb.TaskEvent]:
        tokens.append(request.resume_token)
        if not request.resume_token:
            yield snapshot("t", pb.Task.STATE_RUNNING, token="1")
            await forever.wait()
        yield completed("t", b"0", token="2")

    first = await serve(Watch=watch)
    events: list[TaskEvent] = []
    async with TaskClient(first.address) as client:
        async for event in client.watch("t"):
            events.append(event)
            if isinstance(event, Snapshot):
                await first.stop()
                second = ScriptedServer(first.address, Watch=watch)
                await second.start()
    await second.stop()

    assert [type(event) for event in events] == [Snapshot, Ended]
    assert tokens == ["", "1"]


@pytest.mark.parametrize("by_filter", [False, True], ids=["by ids", "by filter"])
async def test_a_watch_that_stands_outlasts_an_outage_longer_than_a_calls_timeout(
    serve: Serve, by_filter: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that has told nothing yet, and was quiet for longer than an outage may last."""
    tokens: list[str] = []
    stands, timeout, outage = asyncio.Event(), timedelta(milliseconds=100), timedelta(seconds=4)
    monkeypatch.setattr("taskline_client._watch._LONGEST_OUTAGE", outage)

    async def watch(request: service.WatchRequest, _: Context) -> AsyncIterator[pb.TaskEvent]:
        tokens.append(request.resume_token)
        yield pb.TaskEvent(heartbeat=pb.TaskEvent.Heartbeat(), resume_token="1")
        stands.set()
        await asyncio.Event().wait()

    async def watch_on(request: service.WatchRequest, _: Context) -> AsyncIterator[pb.TaskEvent]:
        tokens.append(request.resume_token)
        yield completed("t", b"0", token="2")

    first = await serve(Watch=watch)
    async with TaskClient(first.address, timeout=timeout) as client:
        events = client.watch_tasks() if by_filter else client.watch("t", resume_token="0")
        async with aclosing(events):
            waiting = asyncio.ensure_future(anext(events))
            await stands.wait()
            await asyncio.wait([waiting], timeout=outage.total_seconds())
            await first.stop()
            await asyncio.wait([waiting], timeout=3 * timeout.total_seconds())
            assert not waiting.done()
            second = ScriptedServer(first.address, Watch=watch_on)
            await second.start()
            event = await waiting
    await second.stop()

    assert isinstance(event, Ended)
    assert tokens == ["" if by_filter else "0", "1"]


async def test_a_drained_server_is_left_at_once_for_the_other_one(serve: Serve) -> None:
    """Also by a watch that was never told anything, for longer than a call may take."""
    asked, stands = list[str](), asyncio.Event()
    timeout = timedelta(seconds=2)
    drain = asyncio.Event()

    def server(name: str) -> Any:
        async def watch(
            request: service.WatchRequest, context: Context
        ) -> AsyncIterator[pb.TaskEvent]:
            asked.append(name)
            if name not in asked[:1]:
                yield completed("t", b"0", token="2")
                return
            await context.send_initial_metadata(())
            stands.set()
            await drain.wait()
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")

        return watch

    servers = [await serve(Watch=server(name)) for name in ("one", "two")]
    addresses = ",".join(each.address for each in servers)
    async with TaskClient(f"ipv4:{addresses}", timeout=timeout) as client:
        events = client.watch_tasks()
        async with aclosing(events):
            waiting = asyncio.ensure_future(anext(events))
            await stands.wait()
            await asyncio.wait([waiting], timeout=1.2 * timeout.total_seconds())
            drain.set()
            async with asyncio.timeout(10):
                event = await waiting

    assert isinstance(event, Ended)
    assert asked[0] != asked[-1]


async def test_a_watch_that_is_left_ends_on_the_server(connect: Connect) -> None:
    ended = asyncio.Event()

    async def watch(_: service.WatchRequest, __: Context) -> AsyncIterator[pb.TaskEvent]:
        try:
            yield snapshot("t", pb.Task.STATE_RUNNING)
            await asyncio.Event().wait()
        finally:
            ended.set()

    client = await connect(Watch=watch)
    events = client.handle("t").watch()

    await anext(events)
    await events.aclose()

    async with asyncio.timeout(5):
        await ended.wait()


async def test_cancelled_waits_end_on_the_server_and_leave_nothing_behind(
    connect: Connect,
) -> None:
    started, ended = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def get_result(_: service.GetResultRequest, __: Context) -> Any:
        started.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.release()

    client = await connect(GetResult=get_result)

    async def wait_and_give_up() -> None:
        waiting = asyncio.create_task(client.handle("t").result())
        await started.acquire()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await ended.acquire()

    async with asyncio.timeout(10):
        await wait_and_give_up()
        after_one = len(asyncio.all_tasks())
        for _ in range(100):
            await wait_and_give_up()

    # The server's handler of the last one may still be on its way out.
    assert len(asyncio.all_tasks()) <= after_one + 1


async def test_a_watch_by_filter_goes_on_from_a_list_with_what_comes(stack: Stack) -> None:
    @stack.tasks.task("send", queue="mail")
    async def send() -> None: ...

    mail = TaskFilter(queues=["mail"])
    async with stack.worker():
        await stack.client.run(send)
        token = (await stack.client.list_page(mail)).resume_token
        handle = await stack.client.enqueue(send)
        async with aclosing(stack.client.watch_tasks(mail, resume_token=token)) as events:
            seen = list[TaskEvent]()
            async for event in events:
                seen.append(event)
                if isinstance(event, Ended):
                    break

    assert {event.task_id for event in seen} == {handle.id}
    assert isinstance(seen[0], Snapshot)


async def test_a_watch_by_filter_refuses_what_can_only_be_listed_by(stack: Stack) -> None:
    with pytest.raises(InvalidInput, match="filter"):
        await anext(stack.client.watch_tasks(TaskFilter(min_attempts=2)))


async def test_a_watch_by_filter_whose_past_is_gone_tells_to_list_again(connect: Connect) -> None:
    async def watch(request: service.WatchRequest, context: Context) -> AsyncIterator[pb.TaskEvent]:
        assert request.HasField("filter") and request.resume_token == "old"
        await refuse(context, grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED")
        yield pb.TaskEvent()

    client = await connect(Watch=watch)

    with pytest.raises(ResumeTokenExpired):
        await anext(client.watch_tasks(resume_token="old"))


async def test_watching_an_unknown_task_says_so(connect: Connect) -> None:
    async def watch(_: service.WatchRequest, context: Context) -> AsyncIterator[pb.TaskEvent]:
        await refuse(context, grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND")
        yield pb.TaskEvent()

    client = await connect(Watch=watch)

    with pytest.raises(TaskNotFound):
        await anext(client.watch("t"))
