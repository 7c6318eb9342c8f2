"""What watchers get: everything, in order, whatever happens to the subscription."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskline_service.store import (
    End,
    Event,
    EventHub,
    Gap,
    Mailbox,
    StateChange,
    TaskStore,
    parse_redis_url,
    redis,
)
from taskline_service.store.events import MAILBOX_LENGTH
from taskline_service.store.records import pack
from taskline_service.store.values import Completion, Failure
from taskline_service.task import Progress, TaskState
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    NO_TIME,
    claim_one,
    claimed,
    enqueue,
    new_task,
    promote,
)


@asynccontextmanager
async def listening(store: TaskStore, redis_url: str) -> AsyncIterator[EventHub]:
    """A hub that hears everything from now on."""
    hub = EventHub(store.redis, parse_redis_url(redis_url), store.keys)
    await enqueue(store, new_task("first of all", task_type="other"))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(hub.run())
        async with asyncio.timeout(10):
            while hub.revision < 1:
                await store.redis.call(b"PING")
        yield hub
        running.cancel()


async def next_event(mailbox: Mailbox) -> Event:
    async with asyncio.timeout(10):
        while (event := mailbox.take()) is None:
            await mailbox.arrival()
    return event


async def until_revision(hub: EventHub, store: TaskStore) -> None:
    """Wait until the hub has handed out all that has happened."""
    present = int(await store.redis.call(b"GET", store.keys.revision))
    async with asyncio.timeout(20):
        while hub.revision < present:
            await store.redis.call(b"PING")


def taken(mailbox: Mailbox) -> list[Event]:
    events = list[Event]()
    while (event := mailbox.take()) is not None:
        events.append(event)
    return events


def brief(event: Event) -> object:
    """What happened, in a word."""
    change = event.change
    return change.state if isinstance(change, StateChange | End) else type(change).__name__


async def test_a_watcher_gets_the_whole_life_of_a_task(store: TaskStore, redis_url: str) -> None:
    async with listening(store, redis_url) as hub:
        with hub.watch(["a"]) as mailbox:
            claim = await claimed(store, "a", worker="w")
            await store.report_progress([(claim, Progress(current=1, total=2))])
            await store.fail([Failure(claim, BROKEN, NO_TIME)])
            await promote(store, 1)
            claim = await claim_one(store, worker="w")
            await store.complete([Completion(claim, b'"done"')])

            events = [await next_event(mailbox) for _ in range(7)]

    assert [brief(event) for event in events] == [
        *("QUEUED", "RUNNING", "Progress", "RETRYING", "QUEUED", "RUNNING", "COMPLETED")
    ]
    assert [event.sequence for event in events] == list(range(1, 8))
    assert [event.event_us for event in events] == sorted(event.event_us for event in events)
    task = await store.get("a")
    running, retrying, end = events[1].change, events[3].change, events[6].change
    assert isinstance(running, StateChange)
    assert (running.worker, running.attempts) == ("w", 1)
    assert isinstance(retrying, StateChange)
    assert retrying.error is not None
    assert retrying.error.message == "no good"
    expire = task.result_expire_us, task.expire_us
    assert end == End(TaskState.COMPLETED, 2, 6, expire[0], b'"done"', None, expire[1])
    assert events[6].revision == task.revision


async def test_a_watcher_hears_of_its_tasks_only(store: TaskStore, redis_url: str) -> None:
    async with listening(store, redis_url) as hub:
        with hub.watch(["a", "b"]) as mailbox, hub.watch(["b"]) as other:
            assert hub.watched == 2
            await enqueue(store, "a", "c", "b")
            await until_revision(hub, store)

            assert [(e.task_id, e.ordinal) for e in taken(mailbox)] == [("a", 0), ("b", 2)]
            assert [e.task_id for e in taken(other)] == ["b"]
        assert hub.watched == 0


async def test_a_long_outcome_is_not_sent_along(store: TaskStore, redis_url: str) -> None:
    async with listening(store, redis_url) as hub:
        with hub.watch(["a"]) as mailbox:
            claim = await claimed(store, "a")
            await store.complete([Completion(claim, b'"%s"' % (b"x" * 5000))])
            end = [await next_event(mailbox) for _ in range(3)][-1].change

    assert isinstance(end, End)
    assert (end.result, end.result_size) == (None, 5002)


async def test_nothing_is_lost_when_the_subscription_is_cut(
    store: TaskStore, redis_url: str
) -> None:
    ids = [f"t-{i}" for i in range(60)]
    async with listening(store, redis_url) as hub:
        with hub.watch(ids) as mailbox:
            for i, task_id in enumerate(ids):
                if i % 20 == 10:
                    await store.redis.call(b"CLIENT", b"KILL", b"TYPE", b"pubsub")
                await enqueue(store, task_id)

            events = [await next_event(mailbox) for _ in ids]

    assert [event.task_id for event in events] == ids
    assert [event.revision for event in events] == list(range(2, 62))


async def test_what_was_not_heard_is_read_from_the_log(store: TaskStore, redis_url: str) -> None:
    async with listening(store, redis_url) as hub:
        with hub.watch(["unheard", "b"]) as mailbox:
            # As when a message is dropped on its way: it is in the log, but not published.
            revision = await store.redis.call(b"INCR", store.keys.revision)
            happened = {"id": "unheard", "seq": 1, "at": 1, "kind": "state", "state": "QUEUED"}
            message = pack({"rev": revision, "runs": [[{}, happened | {"attempts": 0}]]})
            await store.redis.call(b"XADD", store.keys.log, f"{revision}-0", b"e", message)
            await enqueue(store, "b")

            events = [await next_event(mailbox) for _ in range(2)]

    assert [(event.task_id, event.revision) for event in events] == [
        ("unheard", revision),
        ("b", revision + 1),
    ]


async def test_who_hears_nothing_for_long_still_hears_what_happens_then(
    store: TaskStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "REPLY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(redis, "_PING_EVERY_S", 0.03)
    async with listening(store, redis_url) as hub:
        with hub.watch(["a"]) as mailbox:
            listens = await _listener(store)
            # Ten times as long as it waits for any answer.
            ends = asyncio.get_running_loop().time() + 1
            while asyncio.get_running_loop().time() < ends:
                await store.redis.call(b"PING")
                await asyncio.sleep(0)

            await enqueue(store, "a")
            event = await next_event(mailbox)

            assert event.task_id == "a"
            assert await _listener(store) == listens, "it is the same connection"


async def _listener(store: TaskStore) -> list[bytes]:
    clients = (await store.redis.call(b"CLIENT", b"LIST")).splitlines()
    return [line.split()[0] for line in clients if b"name=taskline-events" in line]


async def test_the_log_does_not_grow_for_ever(store: TaskStore) -> None:
    fill = "for i = 1, 100500 do redis.call('XADD', KEYS[1], i .. '-0', 'e', '') end"
    await store.redis.call(b"EVAL", fill, b"1", store.keys.log)
    await store.redis.call(b"SET", store.keys.revision, b"100500")

    await enqueue(store, "a")

    kept = await store.redis.call(b"XLEN", store.keys.log)
    assert 100_000 <= kept < 100_200  # dropped by the hundred
    assert (await store.get("a")).revision == 100_501


async def test_a_store_that_answers_late_does_not_hold_up_what_is_heard(
    store: TaskStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskline_service.store.events._COMPARE_EVERY_S", 0.01)
    async with listening(store, redis_url) as hub:
        compares, answer, ask = asyncio.Event(), asyncio.Event(), hub.present_revision

        async def late() -> int:
            present = await ask()
            compares.set()
            await answer.wait()
            return present

        hub.present_revision = late  # type: ignore[method-assign]
        with hub.watch(["a", "b"]) as mailbox:
            await compares.wait()
            await enqueue(store, "a")
            heard = [await next_event(mailbox)]
            answer.set()
            await enqueue(store, "b")
            heard.append(await next_event(mailbox))

    assert [event.task_id for event in heard] == ["a", "b"]
    assert not any(isinstance(event.change, Gap) for event in heard)


async def test_a_jump_that_the_log_cannot_fill_is_a_gap(store: TaskStore, redis_url: str) -> None:
    async with listening(store, redis_url) as hub:
        with hub.watch(["a", "b"]) as mailbox:
            await asyncio.gather(  # sent at once, so that nobody listens in between
                store.redis.call(b"CLIENT", b"KILL", b"TYPE", b"pubsub"),
                enqueue(store, "a"),
                store.redis.call(b"XTRIM", store.keys.log, b"MAXLEN", b"0"),
            )
            gap = await next_event(mailbox)
            await until_revision(hub, store)
            await enqueue(store, "b")
            after = await next_event(mailbox)

    assert gap.change == Gap()
    assert gap.revision == (await store.get("a")).revision - 1 == 2
    assert after.task_id == "b"


async def test_events_since_a_revision_are_read_from_the_log(
    store: TaskStore, redis_url: str
) -> None:
    async with listening(store, redis_url) as hub:
        claim = await claimed(store, "a")
        since = (await store.get("a")).revision
        await enqueue(store, "b")
        await store.fail([Failure(claim, BROKEN, AN_HOUR)])

        events = await hub.since(since, ["a"])

        assert events is not None
        assert [(brief(event), event.revision) for event in events] == [("RETRYING", since + 2)]
        assert await hub.since(since + 2, ["a"]) == []
        await store.redis.call(b"XTRIM", store.keys.log, b"MAXLEN", b"1")
        assert await hub.since(since, ["a"]) is None
        assert await hub.since(since + 1, ["a"]) == events


# The mailbox

_NO_CHANGE = StateChange(TaskState.QUEUED, 0, "", 0, None)


def event(task_id: str, sequence: int, *, progress: bool = False) -> Event:
    change = Progress(current=sequence) if progress else _NO_CHANGE
    return Event(task_id, sequence, 0, sequence, 0, change)


def test_of_progress_only_the_latest_waits() -> None:
    mailbox = Mailbox()
    mailbox.put(event("a", 1))
    for sequence in (2, 3, 4):
        mailbox.put(event("a", sequence, progress=True))
    mailbox.put(event("b", 9, progress=True))

    assert [(e.task_id, e.sequence) for e in taken(mailbox)] == [("a", 1), ("a", 4), ("b", 9)]


def test_progress_never_passes_another_event_of_its_task() -> None:
    mailbox = Mailbox()
    mailbox.put(event("a", 1, progress=True))
    mailbox.put(event("a", 2))
    mailbox.put(event("a", 3, progress=True))

    assert [e.sequence for e in taken(mailbox)] == [1, 2, 3]


_STEPS = st.lists(
    st.one_of(st.none(), st.tuples(st.sampled_from("abc"), st.booleans())), max_size=200
)


@given(_STEPS)
@settings(deadline=None)
def test_every_task_is_told_in_order_and_only_progress_is_skipped(
    steps: list[tuple[str, bool] | None],
) -> None:
    mailbox, sent, got = Mailbox(), defaultdict[str, list[Event]](list), list[Event]()
    for step in steps:
        if step is None:
            got += [e] if (e := mailbox.take()) else []
            continue
        task_id, is_progress = step
        sent[task_id].append(event(task_id, len(sent[task_id]) + 1, progress=is_progress))
        mailbox.put(sent[task_id][-1])
    got += taken(mailbox)

    for task_id, expected in sent.items():
        of_task = [e.sequence for e in got if e.task_id == task_id]
        skipped = [e for e in expected if e.sequence not in of_task]
        assert of_task == sorted(set(of_task))
        assert all(isinstance(e.change, Progress) for e in skipped)
        # Progress is skipped for later progress only: what follows it is never a state.
        assert all(isinstance(expected[e.sequence].change, Progress) for e in skipped)


@pytest.mark.parametrize("progress", [False, True], ids=["states", "progress"])
def test_a_full_mailbox_holds_a_gap_instead(progress: bool) -> None:
    mailbox = Mailbox()
    for number in range(MAILBOX_LENGTH):
        mailbox.put(event(f"t-{number}", number, progress=progress))
    mailbox.put(event("last straw", 77, progress=progress))
    mailbox.put(event("after", 78, progress=progress))

    gap, after = taken(mailbox)

    assert (gap.change, gap.revision) == (Gap(), 77)
    assert after.task_id == "after"


async def test_waiting_for_mail_ends_when_somebody_wakes() -> None:
    mailbox = Mailbox()
    arrival = asyncio.create_task(mailbox.arrival())

    mailbox.wake()

    await arrival
    assert mailbox.take() is None


async def test_each_task_of_a_call_is_told_in_its_own_state(
    store: TaskStore, redis_url: str
) -> None:
    news = [
        new_task("first"),
        new_task("later", delay=AN_HOUR),
        new_task("second"),
        new_task("other", task_type="other"),
        new_task("third"),
    ]
    async with listening(store, redis_url) as hub:
        with hub.watch([new.spec.id for new in news]) as mailbox:
            await enqueue(store, *news)
            events = [await next_event(mailbox) for _ in news]

    told = [(event.task_id, brief(event), event.line) for event in events]
    assert told == [
        ("first", "QUEUED", "work:default"),
        ("later", "SCHEDULED", "work:default"),
        ("second", "QUEUED", "work:default"),
        ("other", "QUEUED", "other:default"),
        ("third", "QUEUED", "work:default"),
    ]
    for event, new in zip(events, news, strict=True):
        assert isinstance(event.change, StateChange)
        assert event.change.schedule_us == (await store.get(new.spec.id)).schedule_us
