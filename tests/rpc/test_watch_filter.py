"""Watch by filter over plain stubs: every task that matches, from its next change on."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext
from taskline_service.errors import ResumeTokenExpired, StoreUnavailable
from taskline_service.limits import MAX_WATCHES
from taskline_service.rpc import filter_telling
from taskline_service.rpc.filter_selection import Selection
from taskline_service.rpc.filter_watching import FilterWatch
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.task_reads import TaskReads
from taskline_service.rpc.watch_messages import EventMessages
from taskline_service.rpc.watch_options import WatchOptions
from taskline_service.store import Event, EventHub, Gap
from taskline_service.store.values import Completion, Conflict, Failure
from taskline_service.task import Task
from tests.rpc.test_watch import heard, running_hub
from tests.stack import Stack
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    claim_all,
    claim_one,
    claimed,
    enqueue,
    new_task,
)

State = task_pb2.Task.State
Events = list[task_pb2.TaskEvent]
Call = Any


@contextlib.asynccontextmanager
async def watching(
    stack: Stack, *, resume_token: str = "", interval_ms: int = 20, **conditions: Any
) -> AsyncIterator[Call]:
    """A watch that misses nothing from here on; of signs of life `read` tells none."""
    request = pb.WatchRequest(filter=pb.TaskFilter(**conditions), resume_token=resume_token)
    request.min_progress_interval.FromMilliseconds(interval_ms)
    call = stack.stub.Watch(request)
    await call.initial_metadata()
    try:
        yield call
    finally:
        call.cancel()


async def read(call: Call, count: int) -> Events:
    events = Events()
    async with asyncio.timeout(10):
        while len(events) < count:
            event = await call.read()
            events += [] if event.HasField("heartbeat") else [event]
    return events


async def until_ends(call: Call, count: int) -> Events:
    events = Events()
    while sum(event.HasField("ended") for event in events) < count:
        events += await read(call, 1)
    return events


def told(events: Events) -> list[tuple[str, str]]:
    return [(event.task_id, event.WhichOneof("event") or "") for event in events]


def reason(error: grpc.aio.AioRpcError) -> str:
    status, info = status_pb2.Status(), error_details_pb2.ErrorInfo()
    trailers = dict(error.trailing_metadata() or ())
    status.ParseFromString(trailers["grpc-status-details-bin"])
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def refused(call: Call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read(call, 1)
    return caught.value.code(), reason(caught.value)


async def finish(stack: Stack, *task_ids: str) -> None:
    """Run and complete these tasks, which wait."""
    claims = {claim.task_id: claim for claim in await claim_all(stack.store)}
    await stack.store.complete([Completion(claims[task_id], b"1") for task_id in task_ids])


async def test_a_task_is_told_as_snapshot_events_and_end_and_the_stream_goes_on(
    stack: Stack,
) -> None:
    async with watching(stack) as call:
        for task_id in ("a", "b"):
            await enqueue(stack.store, task_id)
            (snapshot,) = await read(call, 1)
            await finish(stack, task_id)
            events = await read(call, 2)

            assert told([snapshot, *events]) == [
                (task_id, kind) for kind in ("snapshot", "state_changed", "ended")
            ]
            assert snapshot.snapshot.task.state == State.STATE_QUEUED
            assert not snapshot.snapshot.gap
            assert events[-1].ended.result.json.number_value == 1


async def test_a_task_from_before_is_told_when_it_next_changes(stack: Stack) -> None:
    claim = await claimed(stack.store, "running")
    await enqueue(stack.store, new_task("silent", delay=AN_HOUR))
    async with watching(stack) as call:
        await stack.store.complete([Completion(claim, b'"%s"' % (b"x" * 10_000))])
        events = await read(call, 2)

    assert told(events) == [("running", "snapshot"), ("running", "ended")]
    assert events[0].snapshot.task.state == State.STATE_COMPLETED
    assert events[1].ended.result_size == 10_002
    assert events[1].ended.result.json.string_value


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "abcd"),
        ({"queues": ["x", "y"]}, "abc"),
        ({"task_types": ["other"]}, "c"),
        ({"queues": ["x"], "task_types": ["work"]}, "a"),
        ({"labels": {"team": "one"}}, "ad"),
        ({"labels": {"team": "one", "kind": "k"}}, "d"),
        ({"queues": ["x"], "labels": {"team": "one"}}, "a"),
        ({"queues": ["nobody's"]}, ""),
    ],
)
async def test_only_tasks_that_match_are_told(
    stack: Stack, conditions: dict[str, Any], expected: str
) -> None:
    async with watching(stack, **conditions) as call, watching(stack, queues=["last"]) as last:
        await enqueue(
            stack.store,
            new_task("a", queue="x", labels={"team": "one"}),
            new_task("b", queue="y", labels={"team": "two"}),
            new_task("c", queue="x", task_type="other"),
            new_task("d", queue="z", labels={"team": "one", "kind": "k"}),
        )
        for task_id in "abcd":
            await stack.store.cancel(task_id)
        events = await until_ends(call, len(expected))
        await enqueue(stack.store, new_task("end", queue="last"))
        await read(last, 1)

    of = defaultdict[str, list[str]](list)
    for task_id, kind in told(events):
        of[task_id].append(kind)
    assert of == {task_id: ["snapshot", "ended"] for task_id in expected}


@pytest.mark.parametrize("field", ["states", "min_attempts", "workers", "error_types"])
async def test_a_condition_that_changes_cannot_be_watched(stack: Stack, field: str) -> None:
    value: Any = {"workers": ["w"], "min_attempts": 1}.get(field, [1])
    call = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter(**{field: value})))

    assert await refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")


async def test_tasks_and_filter_at_once_are_refused(stack: Stack) -> None:
    call = stack.stub.Watch(pb.WatchRequest(task_ids=["a"], filter=pb.TaskFilter()))

    assert await refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")


async def test_a_task_in_the_place_of_another_is_told_anew(stack: Stack) -> None:
    async with watching(stack) as call:
        for _ in range(2):
            await enqueue(
                stack.store, new_task("a", delay=AN_HOUR, on_conflict=Conflict.REPLACE_TERMINAL)
            )
            first = await read(call, 1)
            await stack.store.cancel("a")
            events = first + await read(call, 1)
            assert told(events) == [("a", "snapshot"), ("a", "ended")]


@pytest.mark.one_partition
async def test_a_watch_continues_at_every_point_where_it_may_break_off(stack: Stack) -> None:
    @stack.tasks.task("step", max_attempts=2)
    async def step(ctx: TaskContext) -> str:
        await asyncio.sleep(0.01)
        if ctx.task_id == "b" and ctx.attempt == 1:
            raise ValueError("once more")
        return "x" * (10_000 if ctx.task_id == "c" else 1)

    policy = task_pb2.RetryPolicy(initial_backoff=Duration(nanos=10_000_000))
    async with stack.worker(concurrency=2), watching(stack, task_types=["step"]) as call:
        for task_id in "abcd":
            await stack.stub.Enqueue(
                pb.EnqueueRequest(
                    task_type="step",
                    task_id=task_id,
                    retry_policy=policy,
                    delay=Duration(nanos=50_000_000),
                )
            )
        whole = await until_ends(call, 4)
    rests = list[Events]()
    for event in whole[:-1]:
        async with watching(stack, task_types=["step"], resume_token=event.resume_token) as call:
            ended = {e.task_id for e in whole[: whole.index(event) + 1] if e.HasField("ended")}
            rests.append(await until_ends(call, 4 - len(ended)))

    introduced = max(i for i, event in enumerate(whole) if event.HasField("snapshot"))
    for i, rest in enumerate(rests):
        if i < introduced:  # the others are introduced as they are by then
            ids = {e.task_id for e in whole[: i + 1]}
            assert sorted(e.task_id for e in rest if e.HasField("snapshot")) == sorted(
                set("abcd") - ids
            )
        else:
            assert told(rest) == told(whole[i + 1 :]), f"after event {i}: {whole[i]}"


async def test_many_tasks_over_many_breaks_are_told_in_order_and_once(stack: Stack) -> None:
    @stack.tasks.task("step")
    async def step(ctx: TaskContext) -> None:
        for _ in range(3):
            await ctx.progress.increment()

    rng, seen, token = random.Random(11), Events(), ""
    ids = [f"task-{i}" for i in range(150)]

    async def make() -> None:
        for task_id in ids:
            await stack.stub.Enqueue(pb.EnqueueRequest(task_type="step", task_id=task_id))

    async with stack.worker(concurrency=5), asyncio.TaskGroup() as group:
        async with watching(stack) as call:
            group.create_task(make())
            seen += await read(call, 5)
        while sum(event.HasField("ended") for event in seen) < len(ids):
            async with watching(stack, resume_token=seen[-1].resume_token) as call:
                seen += await read(call, 1)
                for _ in range(rng.randint(0, 30)):
                    if sum(event.HasField("ended") for event in seen) < len(ids):
                        seen += await read(call, 1)
                token = seen[-1].resume_token
    assert token

    for task_id in ids:
        mine = [event for event in seen if event.task_id == task_id]
        kinds = [event.WhichOneof("event") for event in mine if not event.HasField("progress")]
        assert kinds == ["snapshot", "state_changed", "ended"]
        sequences = [event.sequence for event in mine if not event.HasField("snapshot")]
        assert sequences == sorted(set(sequences))


async def test_between_snapshot_and_end_of_an_ended_task_it_continues_with_the_end(
    stack: Stack,
) -> None:
    claim = await claimed(stack.store, "b")
    async with watching(stack) as call:
        await stack.store.complete([Completion(claim, b"1")])
        seen = await read(call, 2)
    assert told(seen) == [("b", "snapshot"), ("b", "ended")]
    assert seen[0].snapshot.task.state == State.STATE_COMPLETED

    async with watching(stack, resume_token=seen[0].resume_token) as call:
        await enqueue(stack.store, "c")
        assert told(await read(call, 2)) == [("b", "ended"), ("c", "snapshot")]
    async with watching(stack, resume_token=seen[1].resume_token) as call:
        assert told(await read(call, 1)) == [("c", "snapshot")]


async def test_list_then_watch_misses_nothing(stack: Stack) -> None:
    claim = await claimed(stack.store, "a")
    chosen = pb.TaskFilter(queues=["default"])
    page = await stack.stub.ListTasks(pb.ListTasksRequest(filter=chosen))
    await stack.store.complete([Completion(claim, b"1")])
    await enqueue(stack.store, "b")

    async with watching(stack, queues=["default"], resume_token=page.resume_token) as call:
        events = await read(call, 2)

    # The list had told of "a".
    assert told(events) == [("a", "ended"), ("b", "snapshot")]


async def test_only_the_first_page_of_what_can_be_watched_has_a_token(stack: Stack) -> None:
    await enqueue(stack.store, "a", "b")
    first = await stack.stub.ListTasks(pb.ListTasksRequest(page_size=1))
    second = await stack.stub.ListTasks(
        pb.ListTasksRequest(page_size=1, page_token=first.next_page_token)
    )
    by_state = pb.TaskFilter(states=[State.STATE_QUEUED])
    states = await stack.stub.ListTasks(pb.ListTasksRequest(filter=by_state))

    assert first.resume_token
    assert not second.resume_token
    assert not states.resume_token


async def test_a_token_of_another_filter_is_invalid(stack: Stack) -> None:
    page = await stack.stub.ListTasks(pb.ListTasksRequest())
    call = stack.stub.Watch(
        pb.WatchRequest(filter=pb.TaskFilter(queues=["x"]), resume_token=page.resume_token)
    )

    assert await refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "RESUME_TOKEN_INVALID")


@pytest.mark.one_partition
async def test_a_token_that_the_log_no_longer_reaches_is_expired(stack: Stack) -> None:
    page = await stack.stub.ListTasks(pb.ListTasksRequest())
    await enqueue(stack.store, "a")
    await enqueue(stack.store, "b")
    await stack.store.redis.call(b"XTRIM", stack.store.keys.log, b"MAXLEN", b"1")
    call = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter(), resume_token=page.resume_token))

    assert await refused(call) == (grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED")


async def test_nothing_is_lost_to_who_breaks_off_before_anything_happened(stack: Stack) -> None:
    call: Call = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter()))
    async with asyncio.timeout(10):
        first = await call.read()
    call.cancel()
    await enqueue(stack.store, new_task("meanwhile", delay=AN_HOUR))

    async with watching(stack, resume_token=first.resume_token) as again:
        assert told([first]) == [("", "heartbeat")]
        assert told(await read(again, 1)) == [("meanwhile", "snapshot")]


async def test_a_watch_that_continues_with_nothing_new_says_at_once_that_it_stands(
    stack: Stack,
) -> None:
    await enqueue(stack.store, new_task("a", delay=AN_HOUR))
    page = await stack.stub.ListTasks(pb.ListTasksRequest())
    (task,) = page.tasks
    requests = [
        pb.WatchRequest(filter=pb.TaskFilter(), resume_token=page.resume_token),
        pb.WatchRequest(task_ids=["a"], resume_token=task.resume_token),
    ]
    for request in requests:
        request.heartbeat_interval.FromSeconds(600)
        call: Call = stack.stub.Watch(request)
        async with asyncio.timeout(10):
            first = await call.read()
        call.cancel()

        assert told([first]) == [("", "heartbeat")]
        assert first.resume_token


async def test_a_quiet_watch_keeps_its_token_fresh(stack: Stack) -> None:
    request = pb.WatchRequest(
        filter=pb.TaskFilter(queues=["quiet"]), heartbeat_interval=Duration(seconds=1)
    )
    call: Call = stack.stub.Watch(request)
    first = await call.read()
    await enqueue(stack.store, "a")
    await enqueue(stack.store, "b")
    async with asyncio.timeout(10):
        beat = await call.read()
    call.cancel()
    await stack.store.redis.call(b"XTRIM", stack.store.keys.log, b"MAXLEN", b"0")

    assert told([first, beat]) == [("", "heartbeat")] * 2
    async with watching(stack, queues=["quiet"], resume_token=beat.resume_token) as again:
        await enqueue(stack.store, new_task("c", queue="quiet"))
        assert told(await read(again, 1)) == [("c", "snapshot")]


async def test_progress_that_was_held_back_is_not_lost_to_who_continues(stack: Stack) -> None:
    contexts, go = dict[str, TaskContext](), asyncio.Event()

    @stack.tasks.task("held")
    async def held(ctx: TaskContext) -> None:
        contexts[ctx.task_id] = ctx
        await ctx.progress.increment()
        await go.wait()

    async with stack.worker(), watching(stack, interval_ms=60_000) as call:
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="held", task_id="a"))
        seen = Events()
        while not seen or not (
            seen[-1].HasField("progress") or seen[-1].snapshot.task.progress.current
        ):
            seen += await read(call, 1)
        for _ in range(2):  # if the first was in the snapshot, the second goes out at once
            await contexts["a"].progress.increment()
            current = contexts["a"].progress.current
            await stack.until("a", lambda task, c=current: task.progress.current == c)  # type: ignore[misc]
        await enqueue(stack.store, new_task("b", delay=AN_HOUR))
        while seen[-1].task_id != "b":
            seen += await read(call, 1)
        async with watching(stack, resume_token=seen[-1].resume_token) as again:
            (progress,) = await read(again, 1)
        go.set()

    assert progress.progress.current == 3


async def test_progress_that_was_told_is_not_told_again_to_who_continues(stack: Stack) -> None:
    contexts, go = dict[str, TaskContext](), asyncio.Event()

    @stack.tasks.task("held")
    async def held(ctx: TaskContext) -> None:
        contexts[ctx.task_id] = ctx
        await go.wait()

    async def report(task_id: str) -> None:
        await contexts[task_id].progress.increment()
        current = contexts[task_id].progress.current
        await stack.until(task_id, lambda task: task.progress.current == current)

    async with stack.worker(), watching(stack, interval_ms=60_000) as call:
        for task_id in ("a", "b"):
            await stack.stub.Enqueue(pb.EnqueueRequest(task_type="held", task_id=task_id))
            await stack.until(task_id, lambda task: task.state == State.STATE_RUNNING)
        for task_id in ("a", "a", "b"):  # the second is held back, the third comes later
            await report(task_id)
        seen = Events()
        while not seen or not (seen[-1].task_id == "b" and seen[-1].HasField("progress")):
            seen += await read(call, 1)
        async with watching(stack, resume_token=seen[-1].resume_token) as again:
            go.set()
            seen += await until_ends(again, 2)

    for task_id, currents in (("a", [1, 2]), ("b", [1])):
        progress = [
            e.progress.current for e in seen if e.task_id == task_id and e.HasField("progress")
        ]
        assert progress == currents


@pytest.mark.one_partition
async def test_a_task_is_read_once_for_all_who_watch_by_filter(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, get_many = list[str](), stack.store.get_many

    async def counted(task_ids: Sequence[str], **options: Any) -> list[Task | None]:
        reads.extend(task_ids)
        return await get_many(task_ids, **options)

    monkeypatch.setattr(stack.store, "get_many", counted)
    async with contextlib.AsyncExitStack() as watches:
        calls = [await watches.enter_async_context(watching(stack)) for _ in range(10)]
        for call in calls:
            await call.read()  # a sign of life: it has begun
        await enqueue(stack.store, *(new_task(f"t-{i}", delay=AN_HOUR) for i in range(20)))
        heard_by_all = [await read(call, 20) for call in calls]

    ids = [f"t-{i}" for i in range(20)]
    assert [[event.task_id for event in events] for events in heard_by_all] == [ids] * 10
    assert sorted(reads) == sorted(ids)


@pytest.mark.one_partition
async def test_a_read_that_fails_for_who_watches_by_filter_is_made_again(stack: Stack) -> None:
    await enqueue(stack.store, "a", new_task("b", delay=AN_HOUR))
    tasks = {task.id: task for task in await stack.store.get_many(["a", "b"]) if task}
    events = [Event(task_id, 1, 0, 1, 0, Gap()) for task_id in "ab"]
    outcomes: list[Any] = [StoreUnavailable("away"), list(tasks.values())]

    class Store:
        async def get_many(self, _ids: Sequence[str], **_options: Any) -> list[Task | None]:
            outcome: list[Task | None] | Exception = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    reads = TaskReads(Store())  # type: ignore[arg-type]  # all that it asks of a store
    with pytest.raises(StoreUnavailable):
        await reads.after(events)
    found = await asyncio.gather(reads.after(events), reads.after(events[:1]))

    assert list(map(dict, found)) == [tasks, {"a": tasks["a"]}]
    assert not outcomes


def whole_store(stack: Stack, hub: EventHub) -> AsyncGenerator[task_pb2.TaskEvent, None]:
    """A stream that is read by hand."""
    messages, reads = EventMessages(stack.store), TaskReads(stack.store)
    stream = FilterWatch(reads, hub, Lifetime(), messages, Selection(), options=WatchOptions())
    return stream.events()


@pytest.mark.one_partition
async def test_a_watcher_that_falls_behind_goes_on_from_the_log(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskline_service.store.events.SELECTED_MAILBOX_LENGTH", 3)
    await enqueue(stack.store, new_task("earlier", delay=AN_HOUR))
    async with running_hub(stack) as hub, contextlib.aclosing(whole_store(stack, hub)) as events:
        seen = [await anext(events)]
        for i in range(300):
            await enqueue(stack.store, new_task(f"t-{i}", delay=AN_HOUR))
            await stack.store.cancel(f"t-{i}")
        await heard(hub, stack)
        seen += [await anext(events) for _ in range(600)]

    assert told(seen[:1]) == [("", "heartbeat")]
    assert told(seen[1:]) == [
        (f"t-{i}", kind) for i in range(300) for kind in ("snapshot", "ended")
    ]
    assert not any(event.snapshot.gap for event in seen)


@pytest.mark.one_partition
async def test_what_is_too_far_behind_for_the_log_ends_as_expired(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskline_service.store.events.SELECTED_MAILBOX_LENGTH", 3)
    await enqueue(stack.store, new_task("earlier", delay=AN_HOUR))
    async with running_hub(stack) as hub, contextlib.aclosing(whole_store(stack, hub)) as events:
        await anext(events)
        for i in range(10):
            await enqueue(stack.store, new_task(f"t-{i}", delay=AN_HOUR))
        await heard(hub, stack)
        await stack.store.redis.call(b"XTRIM", stack.store.keys.log, b"MAXLEN", b"1")

        with pytest.raises(ResumeTokenExpired):
            await anext(events)


@pytest.mark.one_partition
async def test_tasks_that_were_forgotten_are_shown_again_and_say_so(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_telling, "MAX_FOLLOWED_BY_FILTER", 2)
    async with watching(stack) as call:
        seen = Events()
        for task_id in ("a", "b", "c"):
            await enqueue(stack.store, new_task(task_id, delay=AN_HOUR))
            seen += await read(call, 1)
        await stack.store.cancel("a")
        await stack.store.cancel("c")
        seen += await read(call, 3)

    assert told(seen[3:]) == [("a", "snapshot"), ("a", "ended"), ("c", "ended")]
    assert [event.snapshot.gap for event in seen] == [False, False, False, True, False, False]


async def test_a_retried_attempt_is_told_with_its_error(stack: Stack) -> None:
    async with watching(stack) as call:
        await enqueue(stack.store, "a")
        first = await read(call, 1)
        claim = await claim_one(stack.store)
        await stack.store.fail([Failure(claim, BROKEN, AN_HOUR)])
        events = first + await read(call, 2)

    assert told(events) == [("a", "snapshot"), ("a", "state_changed"), ("a", "state_changed")]
    assert events[2].state_changed.state == State.STATE_RETRYING
    assert events[2].state_changed.error.message == "no good"


async def test_a_server_takes_so_many_watches_and_no_more(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.server._tasks._watches, "_most", 2)
    async with watching(stack), watching(stack) as second:
        third = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter()))
        assert await refused(third) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES")
        second.cancel()
        async with asyncio.timeout(10):
            while stack.server._tasks._watches.taken > 1:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
        async with watching(stack) as again:
            await enqueue(stack.store, "a")
            assert told(await read(again, 1)) == [("a", "snapshot")]
    assert MAX_WATCHES == 20_000


async def test_nothing_but_progress_is_passed_over_while_progress_is_held_back(
    stack: Stack,
) -> None:
    @stack.tasks.task("steps")
    async def steps(ctx: TaskContext) -> None:
        for number in range(4):
            await ctx.progress.increment()
            await ctx.log(f"step {number}")
            await asyncio.sleep(0.02)

    count = 60
    async with watching(stack, interval_ms=30) as call, stack.worker(concurrency=count):
        for number in range(count):
            await stack.stub.Enqueue(
                pb.EnqueueRequest(task_type="steps", task_id=f"t-{number}", request_id="")
            )
            await asyncio.sleep(0.01)
        events = await until_ends(call, count)

    lines = defaultdict[str, list[str]](list)
    for event in events:
        if event.HasField("log"):
            lines[event.task_id].append(event.log.message)
    assert lines == {f"t-{n}": [f"step {i}" for i in range(4)] for n in range(count)}
