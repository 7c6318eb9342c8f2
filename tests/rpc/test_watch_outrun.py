"""Watches of tasks that tell more than is kept, faster than it is read."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc.filter_selection import Selection
from taskline_service.rpc.filter_watching import FilterWatch
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.task_reads import TaskReads
from taskline_service.rpc.watch_messages import EventMessages
from taskline_service.rpc.watch_options import WatchOptions
from taskline_service.store import EventHub
from taskline_service.store.values import Completion, LogLine, Output
from tests.rpc.test_watch import Events, heard, running_hub, stream_of
from tests.stack import Stack
from tests.store.making import claimed

IDS = ["a", "b"]
# Comes alone, and is read from the task.
LONG = b'"%s"' % (b"x" * 5000)

by_filter = pytest.mark.parametrize("by_filter", [False, True], ids=["by ids", "by filter"])
kept = pytest.mark.parametrize("kept", [1, 4], ids=["the last is kept", "some are kept"])


def watch(
    stack: Stack, hub: EventHub, *, by_filter: bool
) -> AsyncGenerator[task_pb2.TaskEvent, None]:
    """A watch of all tasks whose reader can stall."""
    if not by_filter:
        return stream_of(stack, hub, IDS).events()
    messages, reads = EventMessages(stack.store), TaskReads(stack.store)
    return FilterWatch(
        reads, hub, Lifetime(), messages, Selection(), options=WatchOptions()
    ).events()


def request(*, by_filter: bool, resume_token: str = "") -> pb.WatchRequest:
    chosen: dict[str, Any] = {"filter": pb.TaskFilter()} if by_filter else {"task_ids": IDS}
    return pb.WatchRequest(resume_token=resume_token, **chosen)


async def resumed(stack: Stack, asked: pb.WatchRequest, *, ends: int) -> Events:
    """What is told up to so many ends."""
    events, call = Events(), stack.stub.Watch(asked)
    async with asyncio.timeout(10):
        while sum(event.HasField("ended") for event in events) < ends:
            event = await call.read()
            assert isinstance(event, task_pb2.TaskEvent)
            events += [] if event.HasField("heartbeat") else [event]
    call.cancel()
    return events


def of(task_id: str, events: Events) -> list[tuple[str, int]]:
    """What was told of one task."""
    return [
        (f"gap {event.snapshot.gap}" if event.HasField("snapshot") else kind, event.sequence)
        for event in events
        if event.task_id == task_id and (kind := event.WhichOneof("event") or "")
    ]


@pytest.mark.one_partition  # it looks at its keys, and reads its hub
@by_filter
@kept
@pytest.mark.parametrize("ended", [False, True], ids=["it runs", "it ended meanwhile"])
async def test_a_watch_that_a_task_outruns_shows_it_once_as_it_is_and_goes_on_from_there(
    stack: Stack, by_filter: bool, kept: int, ended: bool
) -> None:
    store = stack.store
    claims = {task_id: await claimed(store, task_id) for task_id in IDS}
    async with (
        running_hub(stack) as hub,
        contextlib.aclosing(watch(stack, hub, by_filter=by_filter)) as events,
    ):
        seen = [await anext(events) for _ in range(1 if by_filter else 2)]
        for number in range(1, 11):
            await store.append([Output(claim, number, LONG) for claim in claims.values()])
        for task_id, claim in claims.items():
            history = store.keys.prefix + b"h:" + task_id.encode()
            await store.redis.call(b"XTRIM", history, b"MAXLEN", str(kept))
            if ended:
                await store.complete([Completion(claim, LONG)])
        await heard(hub, stack)
        while sum(event.snapshot.gap for event in seen) < 2:
            seen.append(await anext(events))
        if not ended:
            for claim in claims.values():
                await store.append([LogLine(claim, 11, "later", None)])
                await store.complete([Completion(claim, LONG)])
        while sum(event.HasField("ended") for event in seen) < 2:
            seen.append(await anext(events))

    after = ["ended"] if ended else ["log", "ended"]
    for task_id in IDS:
        mine = of(task_id, seen)
        assert [kind for kind, _ in mine] == ["gap False", "gap True", *after]
        assert [sequence for _, sequence in mine] == sorted(sequence for _, sequence in mine)
    for i, event in enumerate(seen[:-1]):
        before = seen[: i + 1]
        asked = request(by_filter=by_filter, resume_token=event.resume_token)
        ends = 2 - sum(event.HasField("ended") for event in before)
        rest = await resumed(stack, asked, ends=ends)
        for task_id in IDS:
            told = [*of(task_id, before), *of(task_id, rest)]
            kinds = [kind for kind, _ in told]
            # One that was not introduced yet may be shown as it is by now, without a gap.
            assert kinds.count("gap True") == 1 or not of(task_id, before), f"after {i}"
            assert kinds.count("gap True") <= 1
            assert kinds.count("ended") == 1
            assert [sequence for _, sequence in told] == sorted(sequence for _, sequence in told)
            if ("gap True") in [kind for kind, _ in of(task_id, before)]:
                assert told == of(task_id, seen), f"after {i}"


@pytest.mark.one_partition  # it looks at its keys, and reads its hub
@by_filter
async def test_an_end_is_told_of_a_task_that_another_has_replaced_before_its_values_were_read(
    stack: Stack, by_filter: bool
) -> None:
    """The other one is shown by a watch by filter alone, and there as a task of its own."""
    store = stack.store
    claim = await claimed(store, "a")
    await claimed(store, "b")
    async with (
        running_hub(stack) as hub,
        contextlib.aclosing(watch(stack, hub, by_filter=by_filter)) as events,
    ):
        seen = [await anext(events) for _ in range(1 if by_filter else 2)]
        for number in range(1, 4):
            await store.append([Output(claim, number, LONG)])
        await store.complete([Completion(claim, b"1")])
        await store.delete("a")
        await claimed(store, "a")
        await heard(hub, stack)
        while not seen[-1].HasField("ended"):
            seen.append(await anext(events))

    # A watch by filter had not heard of it before.
    assert [kind for kind, _ in of("a", seen)][-1] == "ended"
    assert not any(event.snapshot.gap for event in seen)
    sequences = [sequence for _, sequence in of("a", seen)]
    assert sequences == sorted(sequences)
