"""ListTaskEvents and ctx.log: the whole story of a task, also after its end."""

import asyncio
import json
from datetime import timedelta

import grpc
import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext
from taskline_service.rpc.history import list_task_events
from taskline_service.store import TaskStore
from taskline_service.store.values import LogLine, Output, Verdict
from tests.stack import Stack

State = task_pb2.Task


async def story(stack: Stack, task_id: str, *, page_size: int = 0) -> list[task_pb2.TaskEvent]:
    """All pages."""
    events, token = list[task_pb2.TaskEvent](), ""
    while True:
        page = await stack.stub.ListTaskEvents(
            pb.ListTaskEventsRequest(task_id=task_id, page_size=page_size, page_token=token)
        )
        events += page.events
        token = page.next_page_token
        if not token:
            return events


def told(event: task_pb2.TaskEvent) -> str:
    """An event in a word or two."""
    match event.WhichOneof("event"):
        case "state_changed":
            return task_pb2.Task.State.Name(event.state_changed.state).removeprefix("STATE_")
        case "ended":
            return task_pb2.Task.State.Name(event.ended.state).removeprefix("STATE_")
        case "log":
            return f"log {event.log.message}"
        case "progress":
            return f"progress {event.progress.current:g}"
        case other:
            return str(other)


async def test_a_task_that_ran_once_has_its_story_without_any_history_stored(
    stack: Stack, store: TaskStore
) -> None:
    @stack.tasks.task("plain")
    async def plain() -> int:
        return 7

    async with stack.worker():
        handle = await stack.client.enqueue("plain")
        await handle.result()

    events = await story(stack, handle.id)
    assert [told(event) for event in events] == ["QUEUED", "RUNNING", "COMPLETED"]
    assert [event.sequence for event in events] == [1, 2, 3]
    assert events[-1].ended.result.json.number_value == 7
    assert not any(event.resume_token for event in events)
    assert await store.redis.call(b"EXISTS", store.keys.prefix + b"h:" + handle.id.encode()) == 0


async def test_a37_the_story_holds_retries_log_lines_and_the_last_progress_in_order(
    stack: Stack,
) -> None:
    @stack.tasks.task("rich", initial_backoff=timedelta(milliseconds=5))
    async def rich(ctx: TaskContext) -> None:
        await ctx.log(f"attempt {ctx.attempt} begins")
        await ctx.progress.set_total(4)
        await ctx.progress.increment(2)
        await ctx.log("half way", percentage=50)
        if ctx.attempt == 1:
            raise ConnectionError("not yet")

    async with stack.worker():
        handle = await stack.client.enqueue("rich")
        await handle.result()

    for page_size in (0, 1, 3):
        events = await story(stack, handle.id, page_size=page_size)
        sequences = [event.sequence for event in events]
        assert sequences == sorted(set(sequences))
        lines = [told(event) for event in events if event.WhichOneof("event") != "progress"]
        assert lines == [
            "QUEUED",
            "RUNNING",
            "log attempt 1 begins",
            "log half way",
            "RETRYING",
            "QUEUED",
            "RUNNING",
            "log attempt 2 begins",
            "log half way",
            "COMPLETED",
        ]
        assert [told(e) for e in events].count("progress 50") == 1
        (retrying,) = [e for e in events if told(e) == "RETRYING"]
        assert retrying.state_changed.error.message == "not yet"


async def test_a_scheduled_task_tells_when_it_was_queued(stack: Stack) -> None:
    @stack.tasks.task("later")
    async def later() -> None: ...

    request = pb.EnqueueRequest(task_type="later", task_id="l")
    request.delay.FromMilliseconds(20)
    await stack.stub.Enqueue(request)
    async with stack.worker():
        await stack.stub.GetResult(pb.GetResultRequest(task_id="l", wait=True))

    events = await story(stack, "l")
    assert [told(e) for e in events] == ["SCHEDULED", "QUEUED", "RUNNING", "COMPLETED"]
    times = [event.event_time.ToMicroseconds() for event in events]
    assert times == sorted(times)


async def test_watchers_get_every_log_line_in_order(stack: Stack) -> None:
    @stack.tasks.task("chatty")
    async def chatty(ctx: TaskContext) -> None:
        for i in range(300):
            await ctx.log(f"line {i}")

    async with stack.worker():
        run = stack.stub.Run(pb.RunRequest(enqueue=pb.EnqueueRequest(task_type="chatty")))
        events = [event async for event in run]

    lines = [e.log.message for e in events if e.WhichOneof("event") == "log"]
    assert lines == [f"line {i}" for i in range(300)]
    assert events[-1].WhichOneof("event") == "ended"


async def test_a25_a_plain_function_logs_from_its_thread_and_the_percentage_is_progress(
    stack: Stack,
) -> None:
    @stack.tasks.task("threaded")
    def threaded(ctx: TaskContext) -> None:
        ctx.log("x" * 600, percentage=33)

    async with stack.worker():
        handle = await stack.client.enqueue("threaded")
        await handle.result()

    (line,) = [e.log for e in await story(stack, handle.id) if e.WhichOneof("event") == "log"]
    assert line.message == "x" * 497 + "..."
    assert line.percentage == 33
    task = await handle.get()
    assert task.progress is not None
    assert (task.progress.current, task.progress.total) == (33, 100)


async def test_when_older_events_were_dropped_the_story_begins_with_a_gap(stack: Stack) -> None:
    @stack.tasks.task("endless")
    async def endless(ctx: TaskContext) -> None:
        for i in range(1500):
            await ctx.log(str(i))

    async with stack.worker():
        handle = await stack.client.enqueue("endless")
        await handle.result()

    events = await story(stack, handle.id, page_size=1000)
    assert events[0].snapshot.gap
    assert events[0].sequence < events[1].sequence
    kept = [int(event.log.message) for event in events if event.WhichOneof("event") == "log"]
    assert kept == list(range(kept[0], 1500))
    assert 1000 <= len(kept) <= 1200
    assert told(events[-1]) == "COMPLETED"


LARGE = json.dumps([{"a": number} for number in range(20_000)]).encode()


async def many_large_outputs(stack: Stack, store: TaskStore) -> None:
    @stack.tasks.task("talks")
    async def talks() -> None: ...  # the test is its worker

    await stack.stub.Enqueue(pb.EnqueueRequest(task_type="talks", task_id="talks"))
    (claim,), *_ = await store.claim(["talks"], count=1, worker="w", lease=timedelta(minutes=1))
    await store.append([Output(claim, number, LARGE) for number in range(1, 41)])


async def test_a_story_of_many_large_outputs_comes_in_pages_that_miss_none(
    stack: Stack, store: TaskStore
) -> None:
    await many_large_outputs(stack, store)
    read = await store.story("talks", after=0, count=1000)
    pages, request = list[list[task_pb2.TaskEvent]](), pb.ListTaskEventsRequest(task_id="talks")
    request.payload_format = task_pb2.PAYLOAD_FORMAT_JSON_BYTES
    while not pages or request.page_token:
        page = await stack.stub.ListTaskEvents(request)
        pages.append(list(page.events))
        request.page_token = page.next_page_token

    assert read.more
    assert len(read.events) < 25, "no more is read than an answer can hold"
    assert [event.sequence for events in pages for event in events] == list(range(1, 43))
    assert all(len(events) > 5 for events in pages[:-1])


async def test_the_largest_page_of_events_holds_up_nobody(stack: Stack, store: TaskStore) -> None:
    await many_large_outputs(stack, store)
    loop, longest = asyncio.get_running_loop(), 0.0

    async def watch_the_loop() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)

    watching = asyncio.create_task(watch_the_loop())
    before = loop.time()
    page = await list_task_events(pb.ListTaskEventsRequest(task_id="talks"), store)
    took = loop.time() - before
    await asyncio.sleep(0)
    watching.cancel()

    assert page.ByteSize() > 2 * 1024**2
    assert longest < took / 3, f"{longest:.3f} s of {took:.3f} s at a stretch"


async def test_a_line_that_is_sent_again_is_kept_once(stack: Stack, store: TaskStore) -> None:
    release = asyncio.Event()

    @stack.tasks.task("held")
    async def held() -> None:
        await release.wait()

    await stack.stub.Enqueue(pb.EnqueueRequest(task_type="held", task_id="h"))
    (claim,), *_ = await store.claim(["held"], count=1, worker="w", lease=timedelta(seconds=30))
    line = LogLine(claim, 1, "once", None)

    assert await store.append([line]) == [Verdict.OK]
    assert await store.append([line]) == [Verdict.REPEATED]
    assert [told(e) for e in await story(stack, "h")] == ["QUEUED", "RUNNING", "log once"]


async def test_unknown_tasks_and_foreign_tokens_are_refused(stack: Stack) -> None:
    @stack.tasks.task("plain")
    async def plain() -> None: ...

    for task_id in ("a", "b"):
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="plain", task_id=task_id))
    async with stack.worker():
        await stack.stub.GetResult(pb.GetResultRequest(task_id="b", wait=True))
        await stack.stub.GetResult(pb.GetResultRequest(task_id="a", wait=True))
    page = await stack.stub.ListTaskEvents(pb.ListTaskEventsRequest(task_id="a", page_size=1))

    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await stack.stub.ListTaskEvents(pb.ListTaskEventsRequest(task_id="nobody"))
    with pytest.raises(grpc.aio.AioRpcError) as foreign:
        await stack.stub.ListTaskEvents(
            pb.ListTaskEventsRequest(task_id="b", page_token=page.next_page_token)
        )

    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    assert foreign.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_pages_do_not_mix_the_stories_of_two_tasks_that_had_one_id(stack: Stack) -> None:
    @stack.tasks.task("plain")
    async def plain() -> None: ...

    enqueue = pb.EnqueueRequest(
        task_type="plain", task_id="a", conflict_policy=pb.CONFLICT_POLICY_REPLACE_TERMINAL
    )
    request = pb.ListTaskEventsRequest(task_id="a", page_size=1)
    async with stack.worker():
        await stack.stub.Enqueue(enqueue)
        await stack.stub.GetResult(pb.GetResultRequest(task_id="a", wait=True))
        request.page_token = (await stack.stub.ListTaskEvents(request)).next_page_token
        await stack.stub.ListTaskEvents(request)
        await stack.stub.Enqueue(enqueue)

        with pytest.raises(grpc.aio.AioRpcError) as other:
            await stack.stub.ListTaskEvents(request)

    assert other.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "PAGE_TOKEN_INVALID" in str(other.value.trailing_metadata())
