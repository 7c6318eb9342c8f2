"""Watch over plain stubs: nothing is lost and nothing said twice, wherever it is cut off."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext
from taskline_service.errors import ServerDraining
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.watch_messages import EventMessages
from taskline_service.rpc.watch_options import WatchOptions
from taskline_service.rpc.watching import WatchStream
from taskline_service.store import EventHub
from tests.stack import Stack

State = task_pb2.Task.State
Events = list[task_pb2.TaskEvent]


async def enqueue(stack: Stack, task_type: str, *task_ids: str) -> None:
    for task_id in task_ids:
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type=task_type, task_id=task_id))


async def watched(
    stack: Stack, task_ids: Sequence[str], *, resume_token: str = "", most: int | None = None
) -> Events:
    """The events of a watch: all of them, or as many as `most`, but for signs of life."""
    request = pb.WatchRequest(
        task_ids=task_ids,
        resume_token=resume_token,
        min_progress_interval=Duration(nanos=20_000_000),
    )
    call, events = stack.stub.Watch(request), Events()
    async for event in call:
        if event.HasField("heartbeat"):
            continue
        events.append(event)
        if len(events) == most:
            call.cancel()
            break
    return events


def told(events: Events) -> list[tuple[str, str, int]]:
    """What must be told exactly once: everything but progress."""
    return [
        (event.task_id, event.WhichOneof("event") or "", event.sequence)
        for event in events
        if not event.HasField("progress")
    ]


@pytest.mark.one_partition
async def test_a_watch_continues_at_every_point_where_it_may_break_off(stack: Stack) -> None:
    @stack.tasks.task("step", max_attempts=2)
    async def step(ctx: TaskContext) -> str:
        for _ in range(3):
            await ctx.progress.increment()
            await asyncio.sleep(0.025)
        if ctx.task_id == "b" and ctx.attempt == 1:
            raise ValueError("once more")
        return "x" * (10_000 if ctx.task_id == "c" else 1)

    ids = ["a", "b", "c", "d"]
    policy = task_pb2.RetryPolicy(initial_backoff=Duration(nanos=10_000_000))
    async with stack.worker(concurrency=2):
        for task_id in ids:
            request = pb.EnqueueRequest(
                task_type="step",
                task_id=task_id,
                retry_policy=policy,
                delay=Duration(nanos=100_000_000),  # first come the snapshots, then the rest
            )
            await stack.stub.Enqueue(request)
        whole = await watched(stack, ids)
        rests = [await watched(stack, ids, resume_token=event.resume_token) for event in whole]

    introduced = len(ids)
    for i, rest in enumerate(rests):
        if i < introduced - 1:  # the others are introduced as they are by then
            assert sorted(e.task_id for e in rest if e.HasField("snapshot")) == ids[i + 1 :]
            assert sorted(e.task_id for e in rest if e.HasField("ended")) == ids
        else:
            assert told(rest) == told(whole[i + 1 :]), f"after event {i}: {whole[i]}"
    assert {event.task_id: event.ended.state for event in whole if event.HasField("ended")} == {
        task_id: State.STATE_COMPLETED for task_id in ids
    }


async def test_a_watch_that_breaks_off_again_and_again_misses_nothing(stack: Stack) -> None:
    @stack.tasks.task("step")
    async def step(ctx: TaskContext) -> None:
        for _ in range(20):
            await ctx.progress.increment()
            await asyncio.sleep(0.002)

    ids = [f"task-{i}" for i in range(12)]
    await enqueue(stack, "step", *ids)
    seen = await watched(stack, ids, most=len(ids))
    token, rng = seen[-1].resume_token, random.Random(7)
    async with stack.worker(concurrency=5):
        while sum(event.HasField("ended") for event in seen) < len(ids):
            part = await watched(stack, ids, resume_token=token, most=rng.randint(1, 6))
            seen += part
            token = seen[-1].resume_token
        assert await watched(stack, ids, resume_token=token) == []

    for task_id in ids:
        mine = [event for event in seen if event.task_id == task_id]
        kinds = [event.WhichOneof("event") for event in mine if not event.HasField("progress")]
        assert kinds == ["snapshot", "state_changed", "ended"]
        sequences = [event.sequence for event in mine]
        assert sequences == sorted(set(sequences))


@pytest.mark.one_partition
async def test_an_ended_task_is_told_as_snapshot_and_end_and_both_can_be_continued(
    stack: Stack,
) -> None:
    @stack.tasks.task("quick")
    async def quick() -> int:
        return 1

    async with stack.worker():
        await enqueue(stack, "quick", "a", "b")
        await watched(stack, ["a", "b"])

    whole = await watched(stack, ["b", "a", "b"])
    parts = [await watched(stack, ["a", "b"], resume_token=event.resume_token) for event in whole]

    assert [(e.task_id, e.WhichOneof("event")) for e in whole] == [
        ("a", "snapshot"),
        ("a", "ended"),
        ("b", "snapshot"),
        ("b", "ended"),
    ]
    assert [told(part) for part in parts] == [told(whole[i + 1 :]) for i in range(4)]


@contextlib.asynccontextmanager
async def running_hub(stack: Stack) -> AsyncIterator[EventHub]:
    """A hub of the test's own, so that it can see what is in it."""
    hub = EventHub(stack.store.redis, stack.redis, stack.store.keys)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(hub.run())
        while not hub.revision:  # until it has begun to listen  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        yield hub
        running.cancel()


def stream_of(
    stack: Stack, hub: EventHub, task_ids: Sequence[str], *, lifetime: Lifetime | None = None
) -> WatchStream:
    """A watch without a call around it: it waits wherever its events are not taken."""
    messages, alive = EventMessages(stack.store), lifetime or Lifetime()
    return WatchStream(stack.store, hub, alive, messages, task_ids, options=WatchOptions())


async def heard(hub: EventHub, stack: Stack) -> None:
    """Returns when the hub has handed out everything that has happened."""
    present = int(await stack.store.redis.call(b"GET", stack.store.keys.revision))
    async with asyncio.timeout(10):
        while hub.revision < present:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)


class Held:
    """A task that runs until it is let go."""

    def __init__(self, stack: Stack) -> None:
        self.go = asyncio.Event()
        self.contexts = dict[str, TaskContext]()

        @stack.tasks.task("held")
        async def held(ctx: TaskContext) -> str:
            self.contexts[ctx.task_id] = ctx
            await self.go.wait()
            return "y" * 10_000

    async def report(self, stack: Stack, task_id: str) -> None:
        """Has a task report progress; returns when that is stored."""
        progress = self.contexts[task_id].progress
        await progress.increment()
        await stack.until(task_id, lambda task: task.progress.current == progress.current)

    async def running(self, stack: Stack, *task_ids: str) -> None:
        await enqueue(stack, "held", *task_ids)
        for task_id in task_ids:
            await stack.until(task_id, lambda task: task.state == State.STATE_RUNNING)


@pytest.mark.one_partition
async def test_a_slow_watcher_can_continue_from_conflated_progress(stack: Stack) -> None:
    held = Held(stack)
    later = pb.EnqueueRequest(task_type="held", task_id="b", delay=Duration(seconds=60))
    async with stack.worker():
        await held.running(stack, "a")
        await stack.stub.Enqueue(later)
        async with running_hub(stack) as hub:
            stream = stream_of(stack, hub, ["a", "b"])
            async with contextlib.aclosing(stream.events()) as events:
                await anext(events), await anext(events)

                # While it does not read: progress, another task's end, and newer progress.
                await held.report(stack, "a")
                await stack.stub.CancelTask(pb.CancelTaskRequest(task_id="b"))
                await held.report(stack, "a")
                await heard(hub, stack)
                first = await anext(events)
        held.go.set()
        rest = await watched(stack, ["a", "b"], resume_token=first.resume_token)

    ends = [event.task_id for event in [first, *rest] if event.HasField("ended")]
    assert sorted(ends) == ["a", "b"]


async def test_progress_that_was_held_back_is_not_lost_to_who_continues(stack: Stack) -> None:
    held = Held(stack)
    later = pb.EnqueueRequest(task_type="held", task_id="b", delay=Duration(seconds=60))
    async with stack.worker():
        await held.running(stack, "a")
        await stack.stub.Enqueue(later)
        request = pb.WatchRequest(task_ids=["a", "b"], min_progress_interval=Duration(seconds=60))
        call = stack.stub.Watch(request)
        await call.read(), await call.read()
        await held.report(stack, "a")
        first = await call.read()  # goes out at once; the next one has to wait
        await held.report(stack, "a")
        await stack.stub.CancelTask(pb.CancelTaskRequest(task_id="b"))
        end = await call.read()
        call.cancel()
        assert isinstance(first, task_pb2.TaskEvent) and isinstance(end, task_pb2.TaskEvent)
        rest = await watched(stack, ["a", "b"], resume_token=end.resume_token, most=1)
        held.go.set()

    assert (first.progress.current, end.task_id) == (1, "b")
    assert [event.progress.current for event in rest] == [2]


async def test_progress_that_was_told_is_not_told_again_to_who_continues(stack: Stack) -> None:
    held = Held(stack)
    async with stack.worker():
        await held.running(stack, "a", "b")
        request = pb.WatchRequest(task_ids=["a", "b"], min_progress_interval=Duration(seconds=60))
        call, seen = stack.stub.Watch(request), Events()
        await call.read(), await call.read()
        for task_id in ("a", "a", "b"):  # the second is held back, the third comes later
            await held.report(stack, task_id)
        while not seen or not (seen[-1].task_id == "b" and seen[-1].HasField("progress")):
            event = await call.read()
            assert isinstance(event, task_pb2.TaskEvent)
            seen.append(event)
        call.cancel()
        seen += await watched(stack, ["a", "b"], resume_token=seen[-1].resume_token, most=1)
        held.go.set()
        seen += await watched(stack, ["a", "b"], resume_token=seen[-1].resume_token)

    told = [(event.task_id, event.progress.current) for event in seen if event.HasField("progress")]
    assert told == [("a", 1), ("b", 1), ("a", 2)]


@pytest.mark.one_partition
async def test_a_watcher_too_slow_to_follow_is_shown_its_tasks_anew(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskline_service.store.events.MAILBOX_LENGTH", 2)
    held = Held(stack)
    async with stack.worker():
        await held.running(stack, "a")
        ids = ["a", "b", "c", "d", "e"]
        for task_id in ids[1:]:
            await stack.stub.Enqueue(
                pb.EnqueueRequest(task_type="held", task_id=task_id, delay=Duration(seconds=60))
            )
        async with running_hub(stack) as hub:
            stream = stream_of(stack, hub, ids)
            async with contextlib.aclosing(stream.events()) as events:
                seen = [await anext(events) for _ in ids]
                await stack.stub.CancelTask(pb.CancelTaskRequest(task_id="e"))
                seen.append(await anext(events))
                for task_id in ids[1:4]:
                    await stack.stub.CancelTask(pb.CancelTaskRequest(task_id=task_id))
                await heard(hub, stack)
                seen += [await anext(events) for _ in range(7)]
                token = seen[-1].resume_token
                held.go.set()
                seen += [event async for event in events]
        assert told(await watched(stack, ids, resume_token=token)) == told(seen[-1:])

    again = [event.task_id for event in seen if event.snapshot.gap]
    assert again == ["a", "b", "c", "d"]
    ends = [event.task_id for event in seen if event.HasField("ended")]
    assert ends == ["e", "b", "c", "d", "a"]


async def test_heartbeats_come_while_progress_is_held_back(stack: Stack) -> None:
    held = Held(stack)
    async with stack.worker():
        await held.running(stack, "a")
        call = stack.stub.Watch(
            pb.WatchRequest(
                task_ids=["a"],
                min_progress_interval=Duration(seconds=60),
                heartbeat_interval=Duration(seconds=1),
            )
        )

        async def report() -> None:
            while True:
                await held.contexts["a"].progress.increment()
                await asyncio.sleep(0.05)

        reporting = asyncio.create_task(report())
        async with asyncio.timeout(5):
            async for event in call:
                if event.HasField("heartbeat"):
                    break
        reporting.cancel()
        call.cancel()
        held.go.set()


async def test_a_quiet_watch_keeps_its_token_fresh(stack: Stack) -> None:
    held = Held(stack)
    async with stack.worker():
        await held.running(stack, "a")
        call = stack.stub.Watch(
            pb.WatchRequest(task_ids=["a"], heartbeat_interval=Duration(seconds=1))
        )
        snapshot = await call.read()
        await enqueue(stack, "held", "another")
        beat = await call.read()
        call.cancel()
        await stack.store.redis.call(b"XTRIM", stack.store.keys.log, b"MAXLEN", b"0")
        held.go.set()
        assert isinstance(snapshot, task_pb2.TaskEvent) and isinstance(beat, task_pb2.TaskEvent)
        assert beat.HasField("heartbeat")
        rest = await watched(stack, ["a"], resume_token=beat.resume_token)
        late = await watched(stack, ["a"], resume_token=snapshot.resume_token)

    assert [kind for _, kind, _ in told(rest)] == ["ended"]
    assert [
        (kind, event.snapshot.gap) for event, (_, kind, _) in zip(late, told(late), strict=True)
    ] == [
        ("snapshot", True),
        ("ended", False),
    ]


async def test_what_was_said_and_is_no_longer_kept_is_one_gap(stack: Stack) -> None:
    say, go = asyncio.Event(), asyncio.Event()

    @stack.tasks.task("talks")
    async def talks(ctx: TaskContext) -> None:
        await say.wait()
        for number in range(5):
            await ctx.log(f"line {number}")
        await go.wait()

    async with stack.worker():
        await enqueue(stack, "talks", "a")
        await stack.until("a", lambda task: task.state == State.STATE_RUNNING)
        (snapshot,) = await watched(stack, ["a"], most=1)
        say.set()
        await watched(stack, ["a"], resume_token=snapshot.resume_token, most=5)
        await stack.store.redis.call(b"XTRIM", stack.store.keys.prefix + b"h:a", b"MAXLEN", b"2")
        go.set()
        rest = await watched(stack, ["a"], resume_token=snapshot.resume_token)

        story = await stack.stub.ListTaskEvents(pb.ListTaskEventsRequest(task_id="a"))

    assert [kind for _, kind, _ in told(rest)] == ["snapshot", "ended"]
    assert rest[0].snapshot.gap
    lines = [event.log.message for event in story.events if event.HasField("log")]
    assert lines == ["line 3", "line 4"]


async def test_the_end_of_a_task_is_not_mixed_with_its_replacement(stack: Stack) -> None:
    held = Held(stack)
    held.go.set()
    async with stack.worker():
        await enqueue(stack, "held", "a")
        await watched(stack, ["a"])
        async with running_hub(stack) as hub:
            stream = stream_of(stack, hub, ["a"])
            async with contextlib.aclosing(stream.events()) as events:
                await anext(events)
                held.go.clear()
                request = pb.EnqueueRequest(
                    task_type="held",
                    task_id="a",
                    conflict_policy=pb.CONFLICT_POLICY_REPLACE_TERMINAL,
                )
                await stack.stub.Enqueue(request)
                end = await anext(events)
        held.go.set()

    assert end.ended.state == State.STATE_COMPLETED
    assert end.ended.result_size > 10_000


async def test_watches_and_waits_leave_nothing_behind(stack: Stack) -> None:
    held = Held(stack)
    async with stack.worker():
        await held.running(stack, "a")
        tasks_before = len(asyncio.all_tasks())
        request = pb.GetResultRequest(task_id="a", timeout=Duration(seconds=30))
        waits = [stack.stub.GetResult(request) for _ in range(2000)]
        watches = [stack.stub.Watch(pb.WatchRequest(task_ids=["a"])) for _ in range(300)]
        for watch in watches:
            await watch.read()
        for call in [*waits[::2], *watches[::2]]:
            call.cancel()
        held.go.set()
        responses = await asyncio.gather(*waits[1::2])
        for watch in watches[1::2]:
            while isinstance(event := await watch.read(), task_pb2.TaskEvent):
                last = event
            assert last.HasField("ended")
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > tasks_before:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    assert all(response.task.state == State.STATE_COMPLETED for response in responses)


async def test_a_server_that_drains_ends_watches_that_have_just_had_an_event(stack: Stack) -> None:
    held, lifetime = Held(stack), Lifetime()
    async with stack.worker():
        await held.running(stack, "a")
        async with running_hub(stack) as hub:
            stream = stream_of(stack, hub, ["a"], lifetime=lifetime)
            async with contextlib.aclosing(stream.events()) as events:
                await anext(events)
                await held.report(stack, "a")
                await heard(hub, stack)
                woken = asyncio.Event()
                with lifetime.woken(woken.set):
                    lifetime.drain(spread=0)
                    await woken.wait()
                    await asyncio.sleep(0)  # as they are all woken in the same turn
                assert (await anext(events)).progress.current == 1

                with pytest.raises(ServerDraining):
                    async with asyncio.timeout(5):
                        await anext(events)
        held.go.set()
