"""A damaged event, and rubbish on the channels, as watchers and workers meet them."""

import asyncio

import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.store.records import pack
from tests.rpc.test_watch_filter import read, told, watching
from tests.stack import Stack
from tests.store.making import claimed
from tests.store.test_strange_messages import event_of, unheard

State = task_pb2.Task.State


async def damaged_event_of(stack: Stack, task_id: str) -> None:
    """It is in the log, but nobody can tell what happened."""
    revision = int(await stack.store.redis.call(b"GET", stack.store.keys.revision)) + 1
    message = pack({"rev": revision, "runs": [[{}, event_of(task_id, 3, kind="dance")]]})
    assert await unheard(stack.store, message) == revision


async def test_who_watches_a_task_with_a_damaged_event_gets_a_snapshot_with_a_gap(
    stack: Stack,
) -> None:
    store = stack.store
    of_a, of_b = await claimed(store, "a"), await claimed(store, "b")
    watches = [stack.stub.Watch(pb.WatchRequest(task_ids=[task_id])) for task_id in "ab"]
    begun = [(await read(watch, 1))[0] for watch in watches]

    await damaged_event_of(stack, "a")
    await store.release([of_b])
    (again,), (event,) = [await read(watch, 1) for watch in watches]
    await store.release([of_a])
    (after,) = await read(watches[0], 1)
    resumed = stack.stub.Watch(pb.WatchRequest(task_ids=["a"], resume_token=begun[0].resume_token))
    (from_before,) = await read(resumed, 1)

    assert told([again, event]) == [("a", "snapshot"), ("b", "state_changed")]
    assert again.snapshot.gap
    assert again.snapshot.task.state == State.STATE_RUNNING
    assert after.state_changed.state == State.STATE_QUEUED
    assert from_before.snapshot.gap
    for watch in (*watches, resumed):
        watch.cancel()


@pytest.mark.one_partition
@pytest.mark.parametrize("running", [True, False], ids=["it runs", "it has ended"])
async def test_a_watch_by_filter_shows_a_task_with_a_damaged_event_again(
    stack: Stack, running: bool
) -> None:
    store = stack.store
    claim = await claimed(store, "a")
    async with watching(stack) as call:
        other = await claimed(store, "b")
        begun = await read(call, 2)
        await damaged_event_of(stack, "a")
        if not running:
            await store.cancel("a")
            await store.release([claim])
        await store.release([other])
        events = await read(call, 2 if running else 3)
    async with watching(stack, resume_token=begun[-1].resume_token) as resumed:
        again = await read(resumed, len(events))

    ended = [] if running else [("a", "ended")]
    assert told(events) == [("a", "snapshot"), *ended, ("b", "state_changed")]
    assert events[0].snapshot.gap
    assert told(again) == told(events)


@pytest.mark.one_partition
async def test_a_watch_by_filter_from_an_entry_that_cannot_be_read_is_told_to_list_again(
    stack: Stack,
) -> None:
    async with watching(stack) as call:
        await claimed(stack.store, "a")
        begun = (await read(call, 2))[-1]
        await unheard(stack.store, b"rubbish")
        await claimed(stack.store, "b")
        with pytest.raises(Exception, match="no longer kept"):
            await read(call, 1)
    async with watching(stack, resume_token=begun.resume_token) as resumed:
        with pytest.raises(Exception, match="no longer kept"):
            await read(resumed, 1)
    async with watching(stack) as anew:
        await claimed(stack.store, "c")
        assert told(await read(anew, 2)) == [("c", "snapshot"), ("c", "state_changed")]


@pytest.mark.one_partition
@pytest.mark.parametrize("rubbish", [b"", b"\xff\xfe", b"\xc1", b"nobody"])
async def test_rubbish_on_a_channel_of_workers_costs_no_task_anything(
    stack: Stack, rubbish: bytes
) -> None:
    began, keys = asyncio.Event(), stack.store.keys

    @stack.tasks.task("work")
    async def work() -> None:
        began.set()
        await asyncio.Event().wait()

    async def listener() -> list[bytes]:
        clients = (await stack.store.redis.call(b"CLIENT", b"LIST")).splitlines()
        return [line.split()[0] for line in clients if b"name=taskline-hints" in line]

    async with stack.worker():
        handle = await stack.client.enqueue("work")
        await began.wait()
        before = await listener()
        for channel in (keys.wake_channel, keys.cancel_channel):
            assert await stack.store.redis.call(b"PUBLISH", channel, rubbish) == 1
        await handle.cancel()
        task = await stack.until(handle.id, lambda t: t.state == State.STATE_CANCELLED)

        assert task.state == State.STATE_CANCELLED
        assert await listener() == before, "it is the same connection"
