"""What becomes of new tasks: accepted whole, recognised again, or refused."""

from datetime import timedelta

import pytest

from taskline_service.store import TaskStore
from taskline_service.store.values import Conflict, EnqueueStatus, ListQuery
from taskline_service.task import RetryPolicy, TaskState
from tests.census import all_keys
from tests.store.making import AN_HOUR, claim_all, enqueue, new_task, reach, states

MINUTE_US = 60_000_000


async def test_an_accepted_task_is_read_as_it_was_answered(store: TaskStore) -> None:
    new = new_task(
        "a",
        uid="another",
        priority=9,
        input='{"name": "Ä"}'.encode(),
        labels={"who": "me", "empty": ""},
        retry_policy=RetryPolicy(max_attempts=-1, backoff_multiplier=1.5),
        execution_timeout=timedelta(seconds=1.5),
        queue_timeout=AN_HOUR,
        result_ttl=timedelta(0),
        trace={"traceparent": "00-1-2-01"},
        request_id="r",
        digest=b"\x00\xff",
    )

    (enqueued,) = await store.enqueue([new])

    assert enqueued.status is EnqueueStatus.CREATED
    task = await store.get("a", full=True)
    assert task == enqueued.task
    assert task.spec == new.spec
    assert (task.state, task.attempts, task.sequence) == (TaskState.QUEUED, 0, 1)
    assert task.create_us == task.schedule_us == task.update_us > 0


async def test_a_call_that_is_made_again_makes_no_second_task(store: TaskStore) -> None:
    new = new_task("a")  # without a request_id: our own repeat when an answer got lost
    await enqueue(store, new)

    (enqueued,) = await store.enqueue([new])

    assert enqueued.status is EnqueueStatus.REPEATED
    assert len(await claim_all(store)) == 1


async def test_a_repeated_request_makes_no_second_task(store: TaskStore) -> None:
    await enqueue(store, new_task("a", request_id="r", digest=b"1"))
    before = await store.get("a")

    (enqueued,) = await store.enqueue([new_task("a", request_id="r", digest=b"1")])

    assert enqueued.status is EnqueueStatus.REPEATED
    assert enqueued.task is None
    assert await store.get("a") == before
    assert len(await claim_all(store)) == 1


@pytest.mark.parametrize("request_id", ["r", "a"])
async def test_a_request_id_with_another_content_is_refused(
    store: TaskStore, request_id: str
) -> None:
    await enqueue(store, new_task("a", request_id=request_id, digest=b"1"))

    (enqueued,) = await store.enqueue([new_task("a", request_id=request_id, digest=b"2")])

    assert enqueued.status is EnqueueStatus.REUSED


@pytest.mark.parametrize("state", list(TaskState))
async def test_a_taken_id_is_refused_whatever_the_state_of_its_task(
    store: TaskStore, state: TaskState
) -> None:
    await reach(store, state, "a")

    first = await store.get("a")

    (enqueued,) = await store.enqueue([new_task("a", request_id="r", digest=b"1")])

    assert enqueued.status is EnqueueStatus.TAKEN
    assert (enqueued.uid, enqueued.state) == (first.spec.uid, state)
    assert await states(store) == {"a": state}


@pytest.mark.parametrize("state", list(TaskState))
async def test_an_existing_task_is_used_if_that_is_asked_for(
    store: TaskStore, state: TaskState
) -> None:
    await reach(store, state, "a")
    before = await store.get("a", full=True)

    (enqueued,) = await store.enqueue([new_task("a", on_conflict=Conflict.USE_EXISTING)])

    assert (enqueued.status, enqueued.state) == (EnqueueStatus.EXISTING, state)
    assert await store.get("a", full=True) == before


@pytest.mark.parametrize("state", list(TaskState))
async def test_only_a_task_that_has_ended_is_replaced(store: TaskStore, state: TaskState) -> None:
    await reach(store, state, "a")

    new = new_task("a", uid="second", on_conflict=Conflict.REPLACE_TERMINAL)
    (enqueued,) = await store.enqueue([new])

    if state.terminal:
        assert enqueued.status is EnqueueStatus.REPLACED
        assert enqueued.task == await store.get("a", full=True)
        assert (await store.get("a")).spec.uid == "second"
    else:
        assert enqueued.status is EnqueueStatus.EXISTING
        assert (await store.get("a")).spec.uid == enqueued.uid != "second"
    assert (await store.list(ListQuery(), count=10)).total == 1


async def test_a_replaced_task_leaves_nothing_behind(store: TaskStore) -> None:
    await reach(store, TaskState.COMPLETED, "a")

    await enqueue(store, new_task("a", on_conflict=Conflict.REPLACE_TERMINAL))

    assert await all_keys(store.redis, store.keys) == [
        *("i:QUEUED:work:default", "lines", "log", "q:work:default", "ready", "rev"),
        *("s:a", "t:a"),
    ]
    assert (await store.get_outcome("a"))[1] is None


async def test_one_refused_task_keeps_out_all_others_of_its_call(store: TaskStore) -> None:
    await enqueue(store, "taken")

    outcomes = await store.enqueue([new_task("a"), new_task("taken"), new_task("b")])

    assert [outcome.status for outcome in outcomes] == [
        EnqueueStatus.CREATED,
        EnqueueStatus.TAKEN,
        EnqueueStatus.CREATED,
    ]
    assert not any(outcome.task for outcome in outcomes)
    assert set(await states(store)) == {"taken"}


async def test_a_partial_call_accepts_the_others(store: TaskStore) -> None:
    await enqueue(store, "taken")

    outcomes = await store.enqueue([new_task("a"), new_task("taken"), new_task("b")], partial=True)

    assert [outcome.task is not None for outcome in outcomes] == [True, False, True]
    assert set(await states(store)) == {"a", "taken", "b"}


async def test_more_than_a_hundred_tasks_are_checked_as_a_whole(store: TaskStore) -> None:
    await enqueue(store, "t-249")

    outcomes = await store.enqueue([new_task(f"t-{i}") for i in range(250)])

    assert [i for i, o in enumerate(outcomes) if not o.status.accepted] == [249]
    assert not any(outcome.task for outcome in outcomes)
    assert set(await states(store)) == {"t-249"}


async def test_more_than_a_hundred_tasks_are_accepted_in_order(store: TaskStore) -> None:
    ids = [f"t-{i}" for i in range(250)]

    await enqueue(store, *ids)

    page = await store.list(ListQuery(newest_first=False), count=1000)
    assert [task.id for task in page.tasks] == ids
    assert len({task.create_us for task in page.tasks}) == 250


async def test_large_inputs_are_accepted_in_steps(store: TaskStore) -> None:
    large = b'"%s"' % (b"x" * 1_000_000)
    ids = [f"t-{i}" for i in range(9)]

    await enqueue(store, *(new_task(task_id, input=large) for task_id in ids))

    tasks = await store.get_many(ids, full=True)
    assert all(task is not None and task.spec.input == large for task in tasks)


async def test_checking_changes_nothing(store: TaskStore) -> None:
    await enqueue(store, "taken")
    before = await all_keys(store.redis, store.keys)

    outcomes = await store.check([new_task("a"), new_task("taken")])

    assert [o.status for o in outcomes] == [EnqueueStatus.CREATED, EnqueueStatus.TAKEN]
    assert await all_keys(store.redis, store.keys) == before


async def test_tasks_of_a_line_are_handed_out_in_the_order_of_their_coming(
    store: TaskStore,
) -> None:
    ids = [f"{i * 7919 % 100:02}" for i in range(100)]  # no order of names

    await enqueue(store, *ids)

    assert [claim.task_id for claim in await claim_all(store)] == ids


async def test_a_higher_priority_comes_first_and_equals_in_order(store: TaskStore) -> None:
    priorities = {"a": 0, "b": 5, "c": 9, "d": 5, "e": 0, "f": 9}

    await enqueue(store, *(new_task(name, priority=p) for name, p in priorities.items()))

    assert [claim.task_id for claim in await claim_all(store)] == list("cfbdae")


async def test_a_level_of_priority_is_worth_a_minute_of_waiting(store: TaskStore) -> None:
    await enqueue(store, new_task("low"), new_task("high", priority=3))

    key = store.keys.prefix + b"q:work:default"
    reply = await store.redis.call(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")
    low, high = await store.get("low"), await store.get("high")
    assert [reply[0], int(reply[1])] == [b"high", high.schedule_us - 3 * MINUTE_US]
    assert [reply[2], int(reply[3])] == [b"low", low.schedule_us]


async def test_a_task_for_later_waits_for_its_time(store: TaskStore) -> None:
    (enqueued,) = await store.enqueue([new_task("a", delay=AN_HOUR)])

    assert enqueued.task == await store.get("a", full=True)
    assert enqueued.task is not None
    assert enqueued.task.state is TaskState.SCHEDULED
    assert enqueued.task.schedule_us - enqueued.task.create_us == 3600 * 1_000_000
    assert await claim_all(store) == []


async def test_a_task_may_be_due_at_an_instant(store: TaskStore) -> None:
    far_away_us = 4_000_000_000_000_001

    (enqueued,) = await store.enqueue([new_task("a", due_us=far_away_us)])

    assert enqueued.task == await store.get("a", full=True)
    assert enqueued.task is not None
    assert enqueued.task.schedule_us == far_away_us


async def test_a_task_that_was_due_long_ago_is_due_now(store: TaskStore) -> None:
    await enqueue(store, "now", new_task("long ago", due_us=1))

    task = await store.get("long ago")
    assert (task.state, task.schedule_us) == (TaskState.QUEUED, task.create_us)
    assert [claim.task_id for claim in await claim_all(store)] == ["now", "long ago"]
