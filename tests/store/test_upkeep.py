"""What happens to tasks by the clock."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from taskline_service.errors import TaskNotFound
from taskline_service.limits import MAX_SPARED
from taskline_service.store import Directory, TaskStore, WorkerInfo
from taskline_service.store.values import Completion, Failure, Verdict
from taskline_service.task import Claim, ErrorType, Progress, TaskError, TaskState
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

A_MOMENT = timedelta(milliseconds=1)


def brief_store(store: TaskStore, *, result: timedelta, record: timedelta) -> TaskStore:
    """The same store, keeping ended tasks for a short while only."""
    return TaskStore(store.redis, store.keys, result_ttl=result, record_ttl=record)


async def expire(store: TaskStore, count: int) -> None:
    """Drop this many results and records as their time comes."""
    dropped = 0
    async with asyncio.timeout(10):
        while dropped < count:
            dropped += (await store.expire()).count


async def due_by_now(store: TaskStore, task_id: str) -> None:
    """Wait until a task is due, without promoting it."""
    due_us = (await store.get(task_id)).schedule_us
    directory = Directory(store.redis, store.keys)
    async with asyncio.timeout(10):
        while (await directory.store_info()).time_us < due_us:
            pass


# Promoting


async def test_a_task_is_promoted_when_it_is_due(store: TaskStore) -> None:
    await enqueue(store, new_task("later", delay=AN_HOUR), new_task("soon", delay=A_MOMENT))

    await promote(store, 1)

    assert await states(store) == {"later": TaskState.SCHEDULED, "soon": TaskState.QUEUED}
    assert (await claim_one(store)).task_id == "soon"


async def test_promoting_tells_how_long_the_next_has_to_wait(store: TaskStore) -> None:
    assert (await store.promote()).wait is None
    await enqueue(store, new_task("a", delay=AN_HOUR))

    wait = (await store.promote()).wait

    assert wait is not None
    assert timedelta(minutes=59) < wait <= AN_HOUR


async def test_promoted_tasks_take_the_place_that_is_theirs_by_due_time(store: TaskStore) -> None:
    await enqueue(store, *(new_task(f"t-{i}", delay=i * A_MOMENT) for i in (3, 1, 2)))

    await promote(store, 3)

    assert [claim.task_id for claim in await claim_all(store)] == ["t-1", "t-2", "t-3"]


async def test_an_attempt_that_failed_is_made_again_when_its_delay_is_over(
    store: TaskStore,
) -> None:
    claim = await claimed(store, "a")
    await store.fail([Failure(claim, BROKEN, A_MOMENT)])

    await promote(store, 1)

    task = await store.get("a")
    assert (task.state, task.attempts) == (TaskState.QUEUED, 1)
    assert task.error is not None
    assert (await claim_one(store)).attempt == 2


async def test_promoting_is_bounded(store: TaskStore) -> None:
    await enqueue(store, *(new_task(f"t-{i}", delay=A_MOMENT) for i in range(5)))
    await due_by_now(store, "t-4")

    counts = [(await store.promote(2)).count for _ in range(4)]

    assert counts == [2, 2, 1, 0]


async def test_what_is_due_at_one_instant_is_promoted_once_by_many_at_once(
    store: TaskStore,
) -> None:
    due_us = await _now_us(store) + 1_500_000
    await enqueue(store, *(new_task(f"t-{i}", due_us=due_us) for i in range(500)))
    await due_by_now(store, "t-0")

    passes = await asyncio.gather(*(store.promote() for _ in range(20)))

    claims = [claim.task_id for claim in await _claim_every(store)]
    assert sum(each.count for each in passes) == 500
    assert sorted(claims) == sorted(f"t-{i}" for i in range(500))


async def _now_us(store: TaskStore) -> int:
    return (await Directory(store.redis, store.keys).store_info()).time_us


async def _claim_every(store: TaskStore) -> list[Claim]:
    claims = list[Claim]()
    while more := await claim_all(store):
        claims += more
    return claims


@pytest.mark.damages_store
async def test_a_due_id_without_a_record_is_told_and_dropped(store: TaskStore) -> None:
    await enqueue(store, new_task("gone", delay=A_MOMENT))
    await store.redis.call(b"DEL", store.keys.prefix + b"t:gone")
    due = store.keys.prefix + b"due"
    await store.redis.call(b"ZADD", due, b"1", b"gone")

    assert (await store.promote()).dangling == ("gone",)
    assert await store.redis.call(b"EXISTS", due) == 0


# Waiting too long


async def test_a_task_that_no_worker_starts_in_time_fails(store: TaskStore) -> None:
    patient, hasty = new_task("patient"), new_task("hasty", queue_timeout=A_MOMENT, priority=5)
    await enqueue(store, patient, hasty)

    async with asyncio.timeout(10):
        while not (await store.queue_timeout()).count:
            pass

    task = await store.get("hasty")
    assert (task.state, task.attempts) == (TaskState.FAILED, 0)
    assert task.error is not None
    assert task.error.error_type is ErrorType.QUEUE_TIMEOUT
    assert task.end_us >= task.schedule_us + 1000
    assert [claim.task_id for claim in await claim_all(store)] == ["patient"]


async def test_the_queue_timeout_counts_from_when_the_task_was_due(store: TaskStore) -> None:
    await enqueue(store, new_task("a", delay=AN_HOUR, queue_timeout=A_MOMENT))

    upkept = await store.queue_timeout()

    assert (upkept.count, upkept.wait) == (0, None)
    assert await states(store) == {"a": TaskState.SCHEDULED}


@pytest.mark.parametrize("claims", [1, 2])
async def test_a_started_task_does_not_time_out_in_the_queue(store: TaskStore, claims: int) -> None:
    await enqueue(store, new_task("a", queue_timeout=AN_HOUR))
    claim = await claim_one(store)
    for _ in range(claims - 1):
        await store.release([claim])
        assert (await store.queue_timeout()).wait is not None
        claim = await claim_one(store)

    assert (await store.queue_timeout()).wait is None


# Lost workers


async def test_a_task_of_a_vanished_worker_is_tried_again(store: TaskStore) -> None:
    await claimed(store, "a", worker="gone", lease=A_MOMENT)

    (entry,) = await reclaim(store, 1, retry_delay=NO_TIME)

    assert (entry.task_id, entry.worker, entry.state) == ("a", "gone", TaskState.RETRYING)
    task = await store.get("a")
    assert task.error is not None
    assert (task.error.error_type, task.error.is_retryable) == (ErrorType.WORKER_LOST, True)
    await promote(store, 1)
    again = await claim_one(store)
    assert (again.attempt, again.failures) == (2, 0)


async def test_a_task_that_loses_too_many_workers_fails(store: TaskStore) -> None:
    twice = TaskStore(store.redis, store.keys, max_lost=2)
    await enqueue(twice, "a")
    for _ in range(2):
        await claim_one(twice, lease=NO_TIME)
        await reclaim(twice, 1, retry_delay=NO_TIME)
        await twice.promote()

    task = await store.get("a")
    assert (task.state, task.attempts) == (TaskState.FAILED, 2)
    assert task.error is not None
    assert (task.error.error_type, task.error.retry_count) == (ErrorType.WORKER_LOST, 1)
    assert task.error.message == (
        "the worker vanished while it held the task; lost 2 times, it is not tried again"
    )


async def test_a_loss_that_a_worker_tells_of_counts_as_one_that_its_lease_tells_of(
    store: TaskStore,
) -> None:
    twice = TaskStore(store.redis, store.keys, max_lost=2)
    await enqueue(twice, "a")
    await claim_one(twice, lease=NO_TIME)
    await reclaim(twice, 1, retry_delay=NO_TIME)
    await twice.promote()
    claim = await claim_one(twice)
    died = TaskError(error_type=ErrorType.WORKER_LOST, message="its process died")

    assert await twice.fail([Failure(claim, died, NO_TIME)]) == [Verdict.GIVEN_UP]
    assert await twice.fail([Failure(claim, died, NO_TIME)]) == [Verdict.REPEATED]

    task = await store.get("a")
    assert (claim.losses, claim.failures, claim.alone) == (1, 0, True)
    assert (task.state, task.attempts) == (TaskState.FAILED, 2)
    assert task.error is not None
    assert task.error.message == "its process died; lost 2 times, it is not tried again"


async def lose_worker(store: TaskStore, *, isolates: bool) -> None:
    await store.claim(["work"], count=1, worker="w", lease=NO_TIME, isolates=isolates)
    await reclaim(store, 1, retry_delay=NO_TIME)
    await store.promote()


async def test_a_task_with_a_process_of_its_own_is_not_to_blame_if_its_worker_vanishes(
    store: TaskStore,
) -> None:
    await enqueue(store, "a")
    for _ in range(1 + MAX_SPARED):
        await lose_worker(store, isolates=True)
    spared = await store.get("a")

    # But not for ever: it may take a whole machine along.
    for _ in range(2):
        await lose_worker(store, isolates=True)

    assert (spared.state, spared.attempts) == (TaskState.QUEUED, 1 + MAX_SPARED)
    assert (await store.get("a")).state is TaskState.FAILED


async def test_a_process_of_its_own_spares_a_task_only_while_it_has_one(store: TaskStore) -> None:
    await enqueue(store, "a")
    await lose_worker(store, isolates=True)
    await lose_worker(store, isolates=True)

    for _ in range(2):
        await lose_worker(store, isolates=False)

    assert (await store.get("a")).state is TaskState.FAILED


async def test_a_task_told_to_stop_whose_process_died_is_cancelled(store: TaskStore) -> None:
    await enqueue(store, "a")
    claim = await claim_one(store)
    await store.cancel("a")
    died = TaskError(error_type=ErrorType.WORKER_LOST, message="its process died")

    await store.fail([Failure(claim, died, NO_TIME)])

    assert (await store.get("a")).state is TaskState.CANCELLED


async def test_what_could_not_be_stopped_is_alone_until_somebody_retries_it(
    store: TaskStore,
) -> None:
    await enqueue(store, "a")
    claim = await claim_one(store)
    await store.fail([Failure(claim, BROKEN, NO_TIME, unstoppable=True)])
    await store.promote()
    again = await claim_one(store)
    await store.fail([Failure(again, BROKEN, None)])
    await store.retry("a")

    assert (again.alone, again.losses, again.failures) == (True, 0, 1)
    assert not (await claim_one(store)).alone


async def test_a_task_told_to_stop_whose_worker_vanished_is_cancelled(store: TaskStore) -> None:
    await claimed(store, "a", lease=NO_TIME)
    await store.cancel("a", reason="enough")

    (entry,) = await reclaim(store, 1, retry_delay=NO_TIME)

    task = await store.get("a")
    assert entry.state is task.state is TaskState.CANCELLED
    assert task.error is not None
    assert task.error.message == "enough"


async def test_a_task_whose_lease_holds_is_not_taken_back(store: TaskStore) -> None:
    claim = await claimed(store, "a")

    assert await store.reclaim(retry_delay=NO_TIME) == []
    assert await store.complete([Completion(claim, b"1")]) == [Verdict.OK]
    assert await all_keys(store.redis, store.keys) == [
        *("i:COMPLETED:work:default", "lines", "log", "retention", "rev", "s:a", "t:a")
    ]


async def test_a_lost_task_is_taken_back_once_by_many_at_once(store: TaskStore) -> None:
    await enqueue(store, *(new_task(f"t-{i}") for i in range(300)))
    for _ in range(3):
        await claim_all(store, lease=NO_TIME)

    shares = await asyncio.gather(*(store.reclaim(retry_delay=NO_TIME) for _ in range(20)))

    taken = [entry.task_id for share in shares for entry in share]
    assert sorted(taken) == sorted(f"t-{i}" for i in range(300))


async def test_a_lease_that_ran_out_is_found_among_thousands_that_hold(store: TaskStore) -> None:
    await enqueue(store, *(new_task(f"t-{i}") for i in range(3000)))
    claims = await _claim_every(store)
    lost = claims[1500]
    await store.renew([lost], lease=NO_TIME)

    (entry,) = await store.reclaim(retry_delay=NO_TIME)

    assert len(claims) == 3000
    assert entry.task_id == lost.task_id


async def test_a_task_that_was_lost_waits_in_its_own_line_again(store: TaskStore) -> None:
    await enqueue(store, new_task("calm", queue="urgent:eu"))
    await claimed(store, new_task("lost", queue="urgent:eu", priority=9), lease=NO_TIME)

    await reclaim(store, 1, retry_delay=NO_TIME)
    await promote(store, 1)

    assert await claim_all(store, queues=["default"]) == []
    again = await claim_all(store, queues=["urgent:eu"])
    assert [(claim.task_id, claim.spec.priority) for claim in again] == [("lost", 9), ("calm", 0)]


async def test_a_task_that_waits_for_its_time_is_in_nobodys_hands(store: TaskStore) -> None:
    claim = await claimed(store, "failed before", lease=A_MOMENT)
    await store.fail([Failure(claim, BROKEN, AN_HOUR)])
    await enqueue(store, new_task("later", delay=AN_HOUR), new_task("b"))
    await claim_one(store, lease=NO_TIME)

    # Taken back is what had a lease; the others wait for much longer than any.
    reclaimed = await reclaim(store, 1, retry_delay=AN_HOUR)

    assert [entry.task_id for entry in reclaimed] == ["b"]
    assert (await states(store))["later"] is TaskState.SCHEDULED
    assert await claim_all(store) == []


# Expiring


async def test_the_result_goes_first_and_the_record_tells_of_it(store: TaskStore) -> None:
    claim = await claimed(store, new_task("a", result_ttl=A_MOMENT))
    await store.complete([Completion(claim, b"123")])

    await expire(store, 1)

    task, result = await store.get_outcome("a")
    assert result is None
    assert (task.state, task.result_size) == (TaskState.COMPLETED, 3)
    assert task.end_us < task.result_expire_us < task.expire_us


async def test_the_record_goes_with_everything_about_the_task(store: TaskStore) -> None:
    brief = brief_store(store, result=A_MOMENT, record=2 * A_MOMENT)
    for state in (TaskState.FAILED, TaskState.CANCELLED):
        await reach(brief, state, state)
    hasty = new_task("hasty", queue_timeout=NO_TIME, labels={"a": "b"})
    await enqueue(brief, hasty)
    await brief.queue_timeout()
    claim = await claimed(brief, "with history")
    await brief.fail([Failure(claim, BROKEN, NO_TIME)])
    await promote(brief, 1)
    claim = await claim_one(brief)
    await brief.report_progress([(claim, Progress(current=1))])
    await brief.complete([Completion(claim, b"1")])

    async with asyncio.timeout(10):
        while (await brief.expire()).wait is not None:
            pass

    assert await all_keys(store.redis, store.keys) == ["log", "rev"]
    assert await states(store) == {}
    for task_id in ("FAILED", "CANCELLED", "hasty", "with history"):
        with pytest.raises(TaskNotFound):
            await store.get(task_id)


async def test_expiring_tells_how_long_the_next_is_kept(store: TaskStore) -> None:
    await reach(store, TaskState.COMPLETED, "a")

    wait = (await store.expire()).wait

    assert wait is not None
    assert timedelta(hours=23) < wait <= timedelta(hours=24)


async def test_a_task_that_has_not_ended_never_expires(store: TaskStore) -> None:
    brief = brief_store(store, result=NO_TIME, record=NO_TIME)
    for state in (TaskState.SCHEDULED, TaskState.RUNNING, TaskState.RETRYING, TaskState.QUEUED):
        await reach(brief, state, state)

    upkept = await brief.expire()

    assert (upkept.count, upkept.wait) == (0, None)
    assert len(await states(store)) == 4


async def test_a_task_type_is_forgotten_when_nobody_has_run_it_for_long(
    store: TaskStore,
) -> None:
    directory = Directory(store.redis, store.keys)
    await directory.register_types({"known": b"1", "forgotten": b"2"})
    seen = store.keys.prefix + b"types_seen"
    await store.redis.call(b"ZADD", seen, b"1", b"known", b"1", b"forgotten")
    worker = WorkerInfo(
        id="w",
        identity="",
        queues=(),
        task_types=("known",),
        concurrency=1,
        running_task_ids=(),
        start_us=time.time_ns() // 1000,
    )
    await directory.heartbeat(worker, ttl=AN_HOUR)
    await directory.heartbeat(replace(worker, draining=True), ttl=AN_HOUR, leaving=True)

    await store.expire()

    assert await directory.types() == {"known": b"1"}
