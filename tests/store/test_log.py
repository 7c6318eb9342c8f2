"""The log of all events: what it tells whoever did not hear them, and for how long."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from taskline_service.store import (
    Emitted,
    End,
    Event,
    EventHub,
    Logged,
    StateChange,
    TaskStore,
    parse_redis_url,
)
from taskline_service.store.values import Completion, Conflict, Failure, LogLine, Output
from taskline_service.task import Progress, TaskError, TaskState
from tests.census import keys_that_tell
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    NO_TIME,
    claim_one,
    claimed,
    enqueue,
    new_task,
    promote,
    reach,
)
from tests.store.test_events import brief, listening, next_event
from tests.store.test_upkeep import brief_store

SECOND = timedelta(seconds=1)
SECRET = "s3cret"
SECRET_ERROR = TaskError(error_type=BROKEN.error_type, message=SECRET, traceback=SECRET)
KINDS = [
    *("QUEUED", "RUNNING", "Progress", "Logged", "Emitted", "RETRYING"),
    *("QUEUED", "RUNNING", "Progress", "Emitted", "COMPLETED"),
]


async def tell_secrets(store: TaskStore, task_id: str, **fields: Any) -> None:
    """A life in which a task has something to hide at every step."""
    claim = await claimed(store, new_task(task_id, input=SECRET.encode(), **fields))
    await store.report_progress([(claim, Progress(current=1, message=SECRET))])
    await store.append([LogLine(claim, 1, SECRET, 33), Output(claim, 2, f'"{SECRET}"'.encode())])
    await store.fail([Failure(claim, SECRET_ERROR, NO_TIME)])
    await promote(store, 1)
    claim = await claim_one(store)
    await store.report_progress([(claim, Progress(current=2, message=SECRET))])
    await store.append([Output(claim, 3, f'"{SECRET}"'.encode())])
    await store.complete([Completion(claim, f'"{SECRET * 20}"'.encode())])


def quiet_hub(store: TaskStore, redis_url: str) -> EventHub:
    """One that hears nothing, so that it has all it tells from the log."""
    return EventHub(store.redis, parse_redis_url(redis_url), store.keys)


async def read(store: TaskStore, redis_url: str, *task_ids: str, since: int = 0) -> list[Event]:
    events = await quiet_hub(store, redis_url).since(since, task_ids)
    assert events is not None
    return events


# What it tells


async def test_the_log_tells_what_was_heard(store: TaskStore, redis_url: str) -> None:
    async with listening(store, redis_url) as hub:
        with hub.watch(["a"]) as mailbox:
            heard = list[Event]()
            living = asyncio.create_task(tell_secrets(store, "a"))
            while len(heard) < len(KINDS):
                heard.append(await next_event(mailbox))
            await living

    told = await read(store, redis_url, "a")

    assert [brief(event) for event in heard] == KINDS
    # Progress of an attempt that was followed by another is nothing to tell any more.
    assert told == [event for event in heard if event.sequence != 3]
    assert all(SECRET in repr(e) for e in told if not isinstance(e.change, StateChange))


async def test_of_progress_the_log_tells_the_latest(store: TaskStore, redis_url: str) -> None:
    claim = await claimed(store, "a")
    for current in range(5):
        await store.report_progress([(claim, Progress(current=current))])

    progress = [e.change for e in await read(store, redis_url, "a") if brief(e) == "Progress"]

    assert progress == [(await store.get("a")).progress]


async def test_progress_of_an_attempt_that_is_over_is_passed_over_between_other_events(
    store: TaskStore, redis_url: str
) -> None:
    claim = await claimed(store, "a")
    await store.report_progress([(claim, Progress(current=1))])
    await store.fail([Failure(claim, BROKEN, NO_TIME)])
    await promote(store, 1)
    await claim_one(store)

    told = [brief(event) for event in await read(store, redis_url, "a")]

    assert told == ["QUEUED", "RUNNING", "RETRYING", "QUEUED", "RUNNING"]


async def test_the_log_still_tells_how_a_task_had_failed_that_runs_again(
    store: TaskStore, redis_url: str
) -> None:
    claim = await claimed(store, "a")
    await store.fail([Failure(claim, BROKEN, None)])
    await store.retry("a")

    end = (await read(store, redis_url, "a"))[2].change

    assert isinstance(end, End)
    assert end.error is not None
    assert end.error.message == "no good"


async def test_what_came_with_long_events_is_left_to_be_read_one_by_one(
    store: TaskStore, redis_url: str
) -> None:
    claim = await claimed(store, "a")
    await store.append([Output(claim, 1, b'"%s"' % (b"x" * 5000))])
    await store.complete([Completion(claim, b'"%s"' % (b"y" * 5000))])

    output, end = (await read(store, redis_url, "a"))[-2:]

    assert output.change == Emitted(None)
    assert isinstance(end.change, End)
    assert (end.change.result, end.change.result_size) == (None, 5002)


async def test_what_a_task_had_to_tell_is_not_taken_for_that_of_another_with_its_id(
    store: TaskStore, redis_url: str
) -> None:
    claim = await claimed(store, "a")
    await store.append([LogLine(claim, 1, "first", None), Output(claim, 2, b'"first"')])
    await store.complete([Completion(claim, b'"first"')])
    of_first = (await store.get("a")).revision
    claim = await claimed(store, new_task("a", on_conflict=Conflict.REPLACE_TERMINAL))
    await store.append([LogLine(claim, 1, "second", None), Output(claim, 2, b'"second"')])
    await store.complete([Completion(claim, b'"second"')])

    told = await read(store, redis_url, "a")

    assert b"first" not in repr(told).encode()
    before = [event for event in told if event.revision <= of_first]
    assert "second" not in repr(before)
    kinds = ["QUEUED", "RUNNING", "Logged", "Emitted", "COMPLETED"]
    assert [brief(event) for event in before] == kinds
    assert before[2].change == Logged(None, None)
    assert await store.output(before[3]) is None
    assert "second" in repr(told[len(before) :])


async def test_lines_that_are_no_longer_kept_say_so(store: TaskStore, redis_url: str) -> None:
    claim = await claimed(store, "a")
    for number in range(1, 12):
        await store.append([LogLine(claim, number, f"line {number}", None)])
    await store.redis.call(b"XTRIM", store.keys.prefix + b"h:a", b"MAXLEN", b"2")

    lines = [e.change for e in await read(store, redis_url, "a") if isinstance(e.change, Logged)]

    assert [line.message for line in lines] == [*[None] * 9, "line 10", "line 11"]


# What it does not keep


async def test_the_log_keeps_nothing_that_a_task_was_given_or_has_told(store: TaskStore) -> None:
    await tell_secrets(store, "a", labels={"of": SECRET})
    claim = await claimed(store, "b")
    await store.fail([Failure(claim, SECRET_ERROR, None)])
    await store.retry("b")
    claim = await claim_one(store)
    await store.cancel("b", reason=SECRET)
    await store.release([claim])

    telling = await keys_that_tell(store.redis, store.keys, SECRET)

    assert telling == {
        *("a:a", "g:a", "h:a", f"label:of={SECRET}", "r:a", "s:a"),
        *("a:b", "e:b", "h:b"),
    }


async def test_a_deleted_task_leaves_nothing_that_it_was_given_or_has_told(
    store: TaskStore,
) -> None:
    await tell_secrets(store, "id-of-the-task", labels={"of": SECRET})
    await store.delete("id-of-the-task")

    assert await keys_that_tell(store.redis, store.keys, SECRET) == set()
    told_for_a_while = await keys_that_tell(store.redis, store.keys, "id-of-the-task")
    assert told_for_a_while == {"log"}, "that there was such a task"


async def test_a_result_with_a_shorter_time_of_its_own_is_in_no_key_after_it(
    store: TaskStore,
) -> None:
    claim = await claimed(store, new_task("a", result_ttl=timedelta(milliseconds=1)))
    await store.complete([Completion(claim, f'"{SECRET * 20}"'.encode())])

    async with asyncio.timeout(10):
        while not (await store.expire()).count:
            pass

    assert await keys_that_tell(store.redis, store.keys, SECRET) == set()
    assert (await store.get("a")).result_size == len(f'"{SECRET * 20}"')


# For how long


async def entries(store: TaskStore) -> int:
    return int(await store.redis.call(b"XLEN", store.keys.log))


async def fill(store: TaskStore, count: int, *, ago: timedelta) -> None:
    """Let so many things have happened, all of them so long ago."""
    first = int(await store.redis.call(b"GET", store.keys.revision) or 0) + 1
    script = """
    local time = redis.call('TIME')
    local at = string.format('%.0f', time[1] * 1000000 + time[2] - ARGV[3])
    for revision = ARGV[1], ARGV[1] + ARGV[2] - 1 do
      local message = cmsgpack.pack({ rev = revision, runs = {} })
      redis.call('XADD', KEYS[1], revision .. '-' .. at, 'e', message)
    end
    redis.call('SET', KEYS[2], ARGV[1] + ARGV[2] - 1)
    """
    us = ago // timedelta(microseconds=1)
    keys = (store.keys.log, store.keys.revision)
    await store.redis.call(b"EVAL", script, b"2", *keys, str(first), str(count), str(us))


async def test_the_log_keeps_what_happened_for_as_long_as_results_are_kept(
    store: TaskStore, redis_url: str
) -> None:
    keeping = brief_store(store, result=AN_HOUR, record=2 * AN_HOUR)
    await fill(store, 30, ago=AN_HOUR + SECOND)
    await fill(store, 12, ago=AN_HOUR - 60 * SECOND)

    wait = (await keeping.expire()).wait

    assert await entries(store) == 12
    assert wait is not None
    assert timedelta(0) < wait <= 60 * SECOND, "then the next of them go"
    hub = quiet_hub(store, redis_url)
    assert await hub.since(29, ["a"]) is None, "a gap, and not silence"
    assert await hub.since(30, ["a"]) == []
    assert await hub.page_since(29, lambda _: False) is None
    assert await hub.page_since(30, lambda _: False) == (42, [])


async def test_a_long_log_is_forgotten_in_steps(store: TaskStore) -> None:
    await fill(store, 2500, ago=timedelta(days=2))
    left = list[int]()

    for _ in range(3):
        wait = (await store.expire()).wait
        left.append(await entries(store))
        assert wait == (timedelta(0) if left[-1] else None)

    assert left == [1500, 500, 0]


async def test_nothing_is_silent_after_the_log_has_forgotten_all(
    store: TaskStore, redis_url: str
) -> None:
    await reach(store, TaskState.COMPLETED, "b")
    await enqueue(store, "a")
    present = (await store.get("a")).revision

    await brief_store(store, result=NO_TIME, record=NO_TIME).expire()

    assert await entries(store) == 0
    hub = quiet_hub(store, redis_url)
    assert await hub.since(present - 1, ["a"]) is None
    assert await hub.since(present, ["a"]) == []
    await enqueue(store, "c")
    assert [e.task_id for e in await read(store, redis_url, "c", since=present)] == ["c"]


@pytest.mark.parametrize("record", [NO_TIME, SECOND], ids=["at once", "after a second"])
async def test_a_record_goes_and_the_log_has_forgotten_its_task(
    store: TaskStore, record: timedelta
) -> None:
    keeping = brief_store(store, result=NO_TIME, record=record)
    await tell_secrets(keeping, "id-of-the-task", labels={"of": SECRET}, result_ttl=NO_TIME)

    async with asyncio.timeout(10):
        while await store.redis.call(b"EXISTS", store.keys.prefix + b"t:id-of-the-task"):
            await keeping.expire()

    assert await keys_that_tell(store.redis, store.keys, SECRET, "id-of-the-task") == set()


async def test_what_a_worker_was_given_last_names_no_task_for_longer_than_a_minute(
    store: TaskStore,
) -> None:
    keeping = brief_store(store, result=NO_TIME, record=NO_TIME)
    claim = await claimed(store, "id-of-the-task", worker="w", lease=SECOND)
    await keeping.complete([Completion(claim, b"1")])
    await keeping.expire()
    redis, keys = store.redis, store.keys

    left = await keys_that_tell(redis, keys, "id-of-the-task", given_last=True)
    longest = await redis.call(b"PTTL", keys.prefix + b"c:w")

    assert left == {"c:w"}
    assert 0 < longest <= 60_000
