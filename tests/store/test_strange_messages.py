"""What nobody of ours published or wrote: passed over, counted, told; others hear everything."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from taskline_service.store import Event, EventHub, Gap, TaskStore
from taskline_service.store.records import pack, to_blob
from tests.store.making import claim_one, enqueue
from tests.store.test_events import brief, listening, next_event, taken, until_revision

RUBBISH = {
    "nothing": b"",
    "a word": b"hello",
    "no msgpack": b"\xc1\xc1",
    "cut short": pack({"rev": 2, "runs": []})[:-1],
    "a number": pack(7),
    "an empty map": pack({}),
    "no events": pack({"rev": 2}),
    "no revision": pack({"runs": []}),
    "a revision that is no number": pack({"rev": "x", "runs": []}),
    "a revision of the far future": pack({"rev": 10**9, "runs": []}),
    "runs that are no list": pack({"rev": 2, "runs": "x"}),
    "an event that is none": pack({"rev": 2, "runs": [[{}, 5]]}),
    "an event of nobody": pack({"rev": 2, "runs": [[{}, {"kind": "log"}]]}),
    "an id that is no text": pack({"rev": 2, "runs": [[{}, {"id": b"\xff"}]]}),
    "an id that is a list": pack({"rev": 2, "runs": [[{}, {"id": ["a"]}]]}),
}

EVENTS: dict[str, dict[str, Any]] = {
    "no kind": {},
    "an unknown kind": {"kind": "dance"},
    "an unknown state": {"kind": "state", "state": "SLEEPING", "attempts": 0},
    "an error that is none": {"kind": "ended", "state": "FAILED", "attempts": 1, "error": "x"},
    "no number of attempts": {"kind": "state", "state": "RUNNING"},
    "a sequence that is no number": {"kind": "log", "seq": "x"},
    "a time that is no number": {"kind": "log", "at": None},
}


async def unheard(store: TaskStore, entry: bytes) -> int:
    """Something in the log that was not published; returns its revision."""
    revision = int(await store.redis.call(b"INCR", store.keys.revision))
    await store.redis.call(b"XADD", store.keys.log, f"{revision}-0", b"e", entry)
    return revision


def event_of(task_id: str, sequence: int, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "line": "work:default", "seq": sequence, "at": 1} | fields


RUNNING = {"kind": "state", "state": "RUNNING", "attempts": 1, "worker": "w"}


def heard_of(mailbox_events: Sequence[Event]) -> list[tuple[str, object]]:
    return [(event.task_id, brief(event)) for event in mailbox_events]


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH.keys())
async def test_rubbish_on_the_channel_costs_no_watcher_anything(
    store: TaskStore, redis_url: str, rubbish: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(store, redis_url) as hub:
        listener = await _listener(store)
        with hub.watch(["a", "b"]) as mailbox, caplog.at_level(logging.ERROR):
            for _ in range(3):
                await store.redis.call(b"PUBLISH", store.keys.events_channel, rubbish)
            await enqueue(store, "a")
            await claim_one(store)
            half = to_blob(rubbish, pack([]))  # as messages are, but for what is in it
            await store.redis.call(b"PUBLISH", store.keys.events_channel, half)
            await enqueue(store, "b")
            events = [await next_event(mailbox) for _ in range(3)]
            await _counted(hub, store, 4)

        assert heard_of(events) == [("a", "QUEUED"), ("a", "RUNNING"), ("b", "QUEUED")]
        assert await _listener(store) == listener, "it is the same connection"
    told = [r for r in caplog.records if "passed over" in r.getMessage()]
    assert len(told) == 1, "once a minute at most"
    assert "channel of events" in told[0].getMessage()


async def _listener(store: TaskStore) -> list[bytes]:
    clients = (await store.redis.call(b"CLIENT", b"LIST")).splitlines()
    return [line.split()[0] for line in clients if b"name=taskline-events" in line]


async def _counted(hub: EventHub, store: TaskStore, count: int) -> None:
    while hub.passed_over.count < count:
        await store.redis.call(b"PING")
    assert hub.passed_over.count == count


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH.keys())
async def test_an_entry_of_the_log_that_cannot_be_read_is_a_gap_for_all(
    store: TaskStore, redis_url: str, rubbish: bytes
) -> None:
    """As nobody knows whose events were in it."""
    async with listening(store, redis_url) as hub:
        with hub.watch(["a"]) as mailbox, hub.select(lambda _line: True) as selected:
            lost = await unheard(store, rubbish)
            await enqueue(store, "a")
            gap, event = [await next_event(mailbox) for _ in range(2)]
            gap_of_all = await next_event(selected)

        assert gap.change == gap_of_all.change == Gap()
        assert gap.revision == lost
        assert (event.task_id, event.revision) == ("a", lost + 1)
        assert await hub.since(lost - 1, ["a"]) is None
        assert await hub.page_since(lost - 1, lambda _line: True) is None
        assert await hub.since(lost, ["a"]) == [event]


@pytest.mark.parametrize("fields", EVENTS.values(), ids=EVENTS.keys())
async def test_an_event_that_cannot_be_read_is_a_gap_for_its_task_alone(
    store: TaskStore, redis_url: str, fields: dict[str, Any]
) -> None:
    async with listening(store, redis_url) as hub:
        await enqueue(store, "a", "b")
        await until_revision(hub, store)
        with (
            hub.watch(["a"]) as of_a,
            hub.watch(["b"]) as of_b,
            hub.select(lambda _line: True) as selected,
        ):
            events = [event_of("a", 2, **fields), event_of("b", 2, **RUNNING)]
            revision = await store.redis.call(b"GET", store.keys.revision)
            message = pack({"rev": int(revision) + 1, "runs": [[{}, *events]]})
            lost = await unheard(store, message)
            await enqueue(store, "c")
            await until_revision(hub, store)

            assert [(e.task_id, e.change) for e in taken(of_a)] == [("a", Gap())]
            assert heard_of(taken(of_b)) == [("b", "RUNNING")]
            all_of_them = taken(selected)
        page = await hub.page_since(lost - 1, lambda _line: True)

        assert [e.task_id for e in all_of_them] == ["a", "b", "c"]
        assert all_of_them[0].change == Gap()
        assert page == (lost + 1, all_of_them)
        assert await hub.since(lost - 1, ["a"]) is None
        assert heard_of(await hub.since(lost - 1, ["b"]) or []) == [("b", "RUNNING")]


async def test_messages_of_the_far_future_are_forgotten(store: TaskStore, redis_url: str) -> None:
    """They must not be waited for: until then nothing would be heard but from the log."""
    async with listening(store, redis_url) as hub:
        with hub.watch(["a", "b"]) as mailbox:
            future = to_blob(RUBBISH["a revision of the far future"], pack([]))
            await store.redis.call(b"PUBLISH", store.keys.events_channel, future)
            await _counted(hub, store, 1)
            await store.redis.call(b"XTRIM", store.keys.log, b"MAXLEN", b"0")
            await enqueue(store, "a")
            event = await next_event(mailbox)

    assert (event.task_id, brief(event)) == ("a", "QUEUED")
