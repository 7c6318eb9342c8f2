"""Following tasks: typed events, and streams that go on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import (
    Ended,
    LogLine,
    ProgressReported,
    Snapshot,
    StateChanged,
    TaskClient,
    TaskEvent,
    TaskNotFound,
    TaskState,
    UnknownEvent,
)
from tests.client.conftest import Connect, Serve
from tests.client.scripted import Context, ScriptedServer, completed, progress, refuse, snapshot


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


async def test_watching_an_unknown_task_says_so(connect: Connect) -> None:
    async def watch(_: service.WatchRequest, context: Context) -> AsyncIterator[pb.TaskEvent]:
        await refuse(context, grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND")
        yield pb.TaskEvent()

    client = await connect(Watch=watch)

    with pytest.raises(TaskNotFound):
        await anext(client.watch("t"))
