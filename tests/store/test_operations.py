"""What operators do: tasks put back or removed, queues paused or limited."""

from datetime import timedelta
from typing import Any

import pytest

from taskline_service.errors import TaskNotFound, TaskNotTerminal
from taskline_service.store import Directory, End, TaskStore
from taskline_service.store.values import Completion, Conflict, EnqueueStatus, Failure, Verdict
from taskline_service.task import TERMINAL_STATES, Progress, TaskState
from tests.census import all_keys
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    NO_TIME,
    claim_all,
    claim_one,
    claimed,
    enqueue,
    new_task,
    promote,
    reach,
    reclaim,
    states,
)

ENDED = sorted(TERMINAL_STATES)
NOT_ENDED = sorted(set(TaskState) - TERMINAL_STATES)


# Retrying


@pytest.mark.parametrize("state", ENDED)
async def test_a_retried_task_waits_and_shows_nothing_of_its_end(
    store: TaskStore, state: TaskState
) -> None:
    await reach(store, state, "a")
    before = await store.get("a", full=True)

    await store.retry("a")

    task, result = await store.get_outcome("a")
    assert (task.state, task.error, result, task.result_size) == (TaskState.QUEUED, None, None, 0)
    assert (task.end_us, task.result_expire_us, task.expire_us) == (0, 0, 0)
    assert (task.cancel_request_us, task.attempts) == (0, 1)
    assert task.schedule_us == task.update_us > before.end_us
    assert task.sequence == before.sequence + 1
    assert (task.spec.uid, task.create_us) == (before.spec.uid, before.create_us)
    assert (await store.get("a", full=True)).attempt_history == before.attempt_history


@pytest.mark.parametrize("state", ENDED)
async def test_a_retried_task_runs_again(store: TaskStore, state: TaskState) -> None:
    await reach(store, state, "a")
    await store.retry("a")

    claim = await claim_one(store)
    assert (claim.attempt, claim.failures) == (2, 0)
    assert await store.renew([claim], lease=AN_HOUR) == [Verdict.HELD]
    assert await store.complete([Completion(claim, b"2")]) == [Verdict.OK]

    task, result = await store.get_outcome("a")
    assert (task.state, task.attempts, result) == (TaskState.COMPLETED, 2, b"2")
    assert task.result_expire_us > task.end_us


@pytest.mark.parametrize("state", NOT_ENDED)
async def test_only_a_task_that_has_ended_is_retried_or_removed(
    store: TaskStore, state: TaskState
) -> None:
    await reach(store, state, "a")
    before = await store.get("a", full=True)

    for refused in (store.retry("a"), store.delete("a")):
        with pytest.raises(TaskNotTerminal) as raised:
            await refused
        assert raised.value.metadata == {"task_id": "a", "state": state}

    assert await store.get("a", full=True) == before


async def test_an_unknown_task_is_neither_retried_nor_removed(store: TaskStore) -> None:
    for refused in (store.retry("nobody"), store.delete("nobody")):
        with pytest.raises(TaskNotFound):
            await refused


async def test_the_budgets_of_a_retried_task_are_fresh(store: TaskStore) -> None:
    await enqueue(store, "a")
    for _ in range(2):
        await claim_all(store, lease=NO_TIME)
        await reclaim(store, 1, retry_delay=NO_TIME)
        await promote(store, 1)
    await store.fail([Failure(await claim_one(store), BROKEN, None)])

    await store.retry("a")

    for _ in range(2):  # a third loss would have been one too many
        await claim_all(store, lease=NO_TIME)
        await reclaim(store, 1, retry_delay=NO_TIME)
        await promote(store, 1)
    claim = await claim_one(store)
    assert (claim.attempt, claim.failures) == (6, 0)


async def test_attempts_are_remembered_once_through_retries(store: TaskStore) -> None:
    claim = await claimed(store, "a", worker="first")
    await store.fail([Failure(claim, BROKEN, AN_HOUR)])
    await store.cancel("a", reason="enough")  # the attempt is in the history already
    await store.retry("a")
    await store.cancel("a")  # before another attempt
    await store.retry("a")
    await store.complete([Completion(await claim_one(store, worker="second"), b"1")])
    await store.retry("a")
    await store.fail([Failure(await claim_one(store, worker="third"), BROKEN, None)])
    await store.retry("a")

    history = (await store.get("a", full=True)).attempt_history

    assert [(a.number, a.worker) for a in history] == [(1, "first"), (2, "second"), (3, "third")]
    assert [attempt.error and attempt.error.message for attempt in history] == [
        *("no good", None, "no good")
    ]
    assert history[2].error is not None
    assert history[2].error.traceback == BROKEN.traceback
    assert all(attempt.end_us > attempt.start_us for attempt in history)


async def test_the_latest_twenty_attempts_are_shown_however_often_it_was_retried(
    store: TaskStore,
) -> None:
    await enqueue(store, "a")
    for _ in range(25):
        await store.fail([Failure(await claim_one(store), BROKEN, None)])
        await store.retry("a")
        await store.cancel("a")
        await store.retry("a")

    history = (await store.get("a", full=True)).attempt_history

    assert [attempt.number for attempt in history] == list(range(6, 26))


async def test_the_story_tells_of_ends_that_were_undone(store: TaskStore) -> None:
    await enqueue(store, new_task("a", delay=AN_HOUR))
    await store.cancel("a", reason="not today")
    ended = await store.get("a")
    await store.retry("a")

    story = await store.story("a", after=0, count=10)

    told = [(event.sequence, getattr(event.change, "state", None)) for event in story.events]
    assert told == [
        (1, TaskState.SCHEDULED),
        (ended.sequence, TaskState.CANCELLED),
        (ended.sequence + 1, TaskState.QUEUED),
    ]
    end = story.events[1]
    assert end.event_us == ended.end_us
    assert isinstance(end.change, End)
    assert end.change.error is not None
    assert end.change.error.message == "not today"


async def test_progress_is_kept_until_the_next_attempt(store: TaskStore) -> None:
    claim = await claimed(store, "a")
    await store.report_progress([(claim, Progress(current=1, total=2))])
    await store.fail([Failure(claim, BROKEN, None)])

    await store.retry("a")

    assert (await store.get("a")).progress is not None
    await claim_one(store)
    assert (await store.get("a")).progress is None


async def test_a_retried_task_does_not_expire(store: TaskStore) -> None:
    brief = TaskStore(store.redis, store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME)
    claim = await claimed(store, "a")
    await brief.complete([Completion(claim, b"1")])
    await store.retry("a")

    assert (await store.expire()).count == 0
    assert await states(store) == {"a": TaskState.QUEUED}
    assert not any(
        key.startswith(("r:", "e:")) or key == "retention"
        for key in await all_keys(store.redis, store.keys)
    )


async def test_the_queue_timeout_of_a_retried_task_counts_anew(store: TaskStore) -> None:
    await enqueue(store, new_task("a", queue_timeout=AN_HOUR))
    await store.cancel("a")
    await store.retry("a")

    key = store.keys.prefix + b"queue_timeouts"
    (_, score) = await store.redis.call(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")

    assert int(score) == (await store.get("a")).schedule_us + 3600 * 1_000_000


async def test_a_worker_whose_answer_was_lost_hears_of_its_end_after_a_retry(
    store: TaskStore,
) -> None:
    claim = await claimed(store, "a")
    await store.complete([Completion(claim, b"1")])
    await store.retry("a")

    assert await store.complete([Completion(claim, b"1")]) == [Verdict.REPEATED]
    await claim_one(store)
    assert await store.complete([Completion(claim, b"1")]) == [Verdict.LOST]


async def test_a_retry_that_is_sent_twice_is_made_once(store: TaskStore) -> None:
    await reach(store, TaskState.FAILED, "a")
    args = {"ids": ["a"], "states": ENDED, "call": b"12345678"}

    first = await store.redis.script("retry", store.keys.prefix, args)
    sequence = (await store.get("a")).sequence
    second = await store.redis.script("retry", store.keys.prefix, args)

    assert first == second == [True]
    assert (await store.get("a")).sequence == sequence


async def test_retried_tasks_keep_their_order(store: TaskStore) -> None:
    ids = [f"{i * 7919 % 150:03}" for i in range(150)]
    await enqueue(store, *ids)
    for _ in range(2):
        await store.fail([Failure(claim, BROKEN, None) for claim in await claim_all(store)])

    assert await store.retry_many(ids, states=[TaskState.FAILED]) == 150

    claims = [*await claim_all(store), *await claim_all(store)]
    assert [claim.task_id for claim in claims] == ids


@pytest.mark.parametrize("state", list(TaskState))
async def test_many_are_changed_only_in_the_states_that_are_meant(
    store: TaskStore, state: TaskState
) -> None:
    await reach(store, state, "a")
    others = set(TaskState) - {state}

    assert await store.cancel_many(["a"], states=others) == 0
    assert await store.retry_many(["a"], states=others & TERMINAL_STATES) == 0
    assert await store.delete_many(["a"], states=others & TERMINAL_STATES) == 0

    assert await states(store) == {"a": state}


async def test_a_task_that_was_told_to_stop_is_not_told_again(store: TaskStore) -> None:
    await claimed(store, "running")
    await enqueue(store, "waiting")
    ids = ["running", "waiting", "nobody"]

    assert await store.cancel_many(ids, states=NOT_ENDED, reason="enough") == 2
    assert await store.cancel_many(ids, states=NOT_ENDED) == 0

    waiting = await store.get("waiting")
    assert waiting.error is not None
    assert waiting.error.message == "enough"
    assert (await store.get("running")).cancel_request_us > 0


# Deleting


@pytest.mark.parametrize("state", ENDED)
async def test_nothing_is_left_of_a_removed_task(store: TaskStore, state: TaskState) -> None:
    await reach(store, state, "a")
    await store.retry("a")
    await store.report_progress([(claim := await claim_one(store), Progress(current=1))])
    await store.fail([Failure(claim, BROKEN, None)])

    await store.delete("a")

    assert await all_keys(store.redis, store.keys) == ["log", "rev"]
    with pytest.raises(TaskNotFound):
        await store.get("a")
    await enqueue(store, "a")


# Pausing


async def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(store: TaskStore) -> None:
    directory = Directory(store.redis, store.keys)

    paused = await directory.pause("text")
    await enqueue(store, new_task("a", queue="text"), new_task("b", queue="other"))

    assert (paused.name, paused.paused, paused.queued) == ("text", True, 0)
    assert [claim.task_id for claim in await claim_all(store)] == ["b"]
    assert (await directory.pause("text")).queued == 1
    resumed = await directory.resume("text")
    assert (resumed.paused, resumed.queued) == (False, 1)
    assert [claim.task_id for claim in await claim_all(store)] == ["a"]


async def test_a_queue_that_nobody_has_named_is_resumed_and_comes_not_to_be(
    store: TaskStore,
) -> None:
    directory = Directory(store.redis, store.keys)

    queue = await directory.resume("new")

    assert (queue.name, queue.paused, queue.queued, queue.oldest_age) == (
        *("new", False, 0),
        timedelta(0),
    )
    assert await all_keys(store.redis, store.keys) == []


# Limits


def limited(store: TaskStore, max_queued: int) -> TaskStore:
    return TaskStore(store.redis, store.keys, max_queued=max_queued)


async def statuses(store: TaskStore, *task_ids: str, **options: Any) -> list[EnqueueStatus]:
    new = [new_task(task_id) for task_id in task_ids]
    return [outcome.status for outcome in await store.enqueue(new, **options)]


CREATED, FULL = EnqueueStatus.CREATED, EnqueueStatus.FULL


async def test_a_full_queue_takes_no_more_until_a_task_has_left_it(store: TaskStore) -> None:
    store = limited(store, 2)
    await enqueue(store, new_task("a", task_type="one"), new_task("b", task_type="two"))

    (refused,) = await store.enqueue([new_task("c")])
    assert (refused.status, refused.limit, refused.task) == (FULL, 2, None)
    (later,) = await store.enqueue([new_task("c", delay=AN_HOUR)])
    assert later.status is FULL
    await enqueue(store, new_task("d", queue="other"))

    await claim_all(store, types=["one"])
    assert await statuses(store, "c") == [CREATED]
    assert await statuses(store, "e") == [FULL]


async def test_what_waits_for_its_time_takes_no_place_in_a_queue(store: TaskStore) -> None:
    store = limited(store, 1)

    outcomes = await store.enqueue(
        [new_task("a", delay=AN_HOUR), new_task("b", delay=AN_HOUR), new_task("c")]
    )

    assert all(outcome.status is CREATED for outcome in outcomes)


async def test_the_tasks_of_one_call_fill_a_queue_too(store: TaskStore) -> None:
    store = limited(store, 2)

    assert await statuses(store, "a", "b", "c") == [CREATED, CREATED, FULL]
    assert await states(store) == {}
    assert await statuses(store, "a", "b", "c", partial=True) == [CREATED, CREATED, FULL]
    assert set(await states(store)) == {"a", "b"}


async def test_more_than_a_hundred_tasks_are_counted_as_a_whole(store: TaskStore) -> None:
    store = limited(store, 249)
    ids = [f"t-{i}" for i in range(250)]

    assert await statuses(store, *ids) == [CREATED] * 249 + [FULL]
    assert await states(store) == {}
    outcomes = await store.check([new_task(task_id) for task_id in ids])
    assert [o.status for o in outcomes] == [CREATED] * 249 + [FULL]


async def test_a_full_queue_still_answers_requests_that_it_has_taken(store: TaskStore) -> None:
    store = limited(store, 1)
    await enqueue(store, new_task("a", request_id="r", digest=b"1"))

    again = new_task("a", request_id="r", digest=b"1")
    other = new_task("a", on_conflict=Conflict.USE_EXISTING)
    reused = new_task("a", request_id="r", digest=b"2")

    assert [(await store.enqueue([new]))[0].status for new in (again, other, reused)] == [
        *(EnqueueStatus.REPEATED, EnqueueStatus.EXISTING, EnqueueStatus.REUSED)
    ]


async def test_a_retried_task_finds_a_place_in_a_full_queue(store: TaskStore) -> None:
    await reach(store, TaskState.FAILED, "a")
    store = limited(store, 1)
    await enqueue(store, "b")

    await store.retry("a")

    assert [claim.task_id for claim in await claim_all(store)] == ["b", "a"]
