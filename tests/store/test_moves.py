"""What workers and users may do to a task, and what is refused."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from taskline_service.errors import TaskNotFound
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion, Failure, Verdict
from taskline_service.task import (
    EDGES,
    TERMINAL_STATES,
    Claim,
    ErrorType,
    Progress,
    TaskError,
    TaskState,
)
from tests.census import all_keys
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    LEASE,
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

WorkerMove = Callable[[TaskStore, Claim], Awaitable[list[Verdict]]]

A_DAY_US = 24 * 3600 * 1_000_000


async def _renew(store: TaskStore, claim: Claim) -> list[Verdict]:
    return await store.renew([claim], lease=LEASE)


async def _report(store: TaskStore, claim: Claim) -> list[Verdict]:
    return await store.report_progress([(claim, Progress(current=7))])


async def _complete(store: TaskStore, claim: Claim) -> list[Verdict]:
    return await store.complete([Completion(claim, b"1")])


async def _fail(store: TaskStore, claim: Claim) -> list[Verdict]:
    return await store.fail([Failure(claim, BROKEN, None)])


async def _retry(store: TaskStore, claim: Claim) -> list[Verdict]:
    return await store.fail([Failure(claim, BROKEN, AN_HOUR)])


async def _release(store: TaskStore, claim: Claim) -> list[Verdict]:
    return await store.release([claim])


WORKER_MOVES = [
    pytest.param(_renew, id="renew"),
    pytest.param(_report, id="report progress"),
    pytest.param(_complete, id="complete"),
    pytest.param(_fail, id="fail"),
    pytest.param(_retry, id="fail with retry"),
    pytest.param(_release, id="release"),
]


# Results


async def test_a_completed_task_has_its_result(store: TaskStore) -> None:
    claim = await claimed(store, "a")

    assert await store.complete([Completion(claim, b'{"x": 1}')]) == [Verdict.OK]

    task, result = await store.get_outcome("a")
    assert result == b'{"x": 1}'
    assert (task.state, task.error, task.result_size) == (TaskState.COMPLETED, None, 8)
    assert task.create_us <= task.start_us <= task.end_us == task.update_us
    assert task.result_expire_us == task.end_us + A_DAY_US
    assert task.expire_us == task.end_us + 7 * A_DAY_US


async def test_a_task_may_have_a_time_to_live_of_its_own(store: TaskStore) -> None:
    long_lived = await claimed(store, new_task("a", result_ttl=timedelta(days=30)))
    unkept = await claimed(store, new_task("b", result_ttl=NO_TIME))

    await store.complete([Completion(long_lived, b"1"), Completion(unkept, b"2")])

    first, second = await store.get("a"), await store.get("b")
    assert first.result_expire_us == first.end_us + 30 * A_DAY_US
    assert first.expire_us == first.result_expire_us + A_DAY_US, "its record outlives its result"
    assert second.result_expire_us == second.end_us < second.expire_us


async def test_many_results_are_recorded_in_one_call(store: TaskStore) -> None:
    await enqueue(store, *(f"t-{i}" for i in range(150)))
    claims = await claim_all(store) + await claim_all(store)

    verdicts = await store.complete([Completion(c, c.task_id.encode()) for c in claims])

    assert verdicts == [Verdict.OK] * 150
    outcomes = [await store.get_outcome(claim.task_id) for claim in claims]
    assert [result for _, result in outcomes] == [c.task_id.encode() for c in claims]


# Failures


async def test_a_failure_without_a_retry_ends_the_task(store: TaskStore) -> None:
    claim = await claimed(store, "a")

    assert await store.fail([Failure(claim, BROKEN, None)]) == [Verdict.OK]

    task, result = await store.get_outcome("a")
    assert (task.state, result, task.result_expire_us) == (TaskState.FAILED, None, 0)
    assert task.error == replace(BROKEN, error_us=task.end_us, retry_count=0)
    assert task.expire_us == task.end_us + 7 * A_DAY_US


async def test_an_error_keeps_all_its_parts(store: TaskStore) -> None:
    claim = await claimed(store, "a")
    error = TaskError(
        error_type=ErrorType.TIMEOUT,
        message="zu spät \N{SNAIL}",
        exception_class="a.B",
        traceback="Tb\n" * 20_000,
        details={"list": [1, None, {"x": 9007199254740993}], "empty": {}},
    )

    await store.fail([Failure(claim, error, None)])

    task, _ = await store.get_outcome("a")
    assert task.error == replace(error, error_us=task.end_us)
    assert (await store.get("a")).error == replace(task.error, traceback="")


async def test_a_failure_with_a_delay_is_tried_again_after_it(store: TaskStore) -> None:
    claim = await claimed(store, "a")

    assert await store.fail([Failure(claim, BROKEN, AN_HOUR)]) == [Verdict.OK]

    task = await store.get("a", full=True)
    assert (task.state, task.attempts, task.end_us) == (TaskState.RETRYING, 1, 0)
    assert task.error is not None
    assert task.schedule_us == task.error.error_us + 3600 * 1_000_000
    assert await claim_all(store) == []


async def test_retries_count_up_to_the_last_failure(store: TaskStore) -> None:
    await enqueue(store, "a")
    for number in (1, 2, 3):
        claim = await claim_one(store)
        assert (claim.attempt, claim.failures) == (number, number - 1)
        await store.fail([Failure(claim, BROKEN, NO_TIME if number < 3 else None)])
        if number < 3:
            await promote(store, 1)

    task = await store.get("a")
    assert (task.state, task.attempts) == (TaskState.FAILED, 3)
    assert task.error is not None
    assert task.error.retry_count == 2


# Leases and progress


async def test_a_renewed_lease_is_kept(store: TaskStore) -> None:
    kept = await claimed(store, "kept", lease=NO_TIME)
    assert await store.renew([kept], lease=LEASE) == [Verdict.HELD]
    await claimed(store, "lost", lease=NO_TIME)

    reclaimed = await reclaim(store, 1, retry_delay=AN_HOUR)

    assert [entry.task_id for entry in reclaimed] == ["lost"]
    assert await states(store) == {"kept": TaskState.RUNNING, "lost": TaskState.RETRYING}


async def test_the_latest_progress_is_kept_to_the_end(store: TaskStore) -> None:
    claim = await claimed(store, "a")
    first = Progress(current=1, total=3)
    last = Progress(current=2.5, total=3, message="fast fertig ✓", details={"row": [1, None]})

    assert await store.report_progress([(claim, first), (claim, last)]) == [Verdict.OK] * 2

    task = await store.get("a")
    assert task.progress == replace(last, update_us=task.update_us)
    await store.complete([Completion(claim, b"1")])
    assert (await store.get("a")).progress == task.progress


# Releasing


async def test_a_released_task_takes_its_old_place_in_the_line(store: TaskStore) -> None:
    await enqueue(store, "a", "b", "c")
    first = await claim_one(store)

    assert await store.release([first]) == [Verdict.OK]

    claims = await claim_all(store)
    assert [claim.task_id for claim in claims] == ["a", "b", "c"]
    assert (claims[0].attempt, claims[0].failures) == (2, 0)


async def test_a_released_attempt_stays_in_the_history_without_an_error(store: TaskStore) -> None:
    claim = await claimed(store, "a", worker="w")
    await store.release([claim])

    task = await store.get("a", full=True)
    (attempt,) = task.attempt_history
    assert (attempt.number, attempt.worker, attempt.error) == (1, "w", None)
    assert task.start_us == attempt.start_us <= attempt.end_us
    assert (task.state, task.error) == (TaskState.QUEUED, None)


# Cancelling


@pytest.mark.parametrize("state", [TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RETRYING])
async def test_a_waiting_task_is_cancelled_at_once(store: TaskStore, state: TaskState) -> None:
    await reach(store, state, "a")

    await store.cancel("a", reason="not needed")

    task = await store.get("a")
    assert task.state is TaskState.CANCELLED
    assert task.cancel_request_us == task.end_us > 0
    assert task.error is not None
    assert task.error.error_type is ErrorType.CANCELLED
    assert (task.error.message, task.error.is_retryable) == ("not needed", False)
    left = await all_keys(store.redis, store.keys)
    assert not {"due", "ready", "q:work:default", "queue_timeouts"} & set(left)


async def test_a_running_task_is_told_and_stays_running(store: TaskStore) -> None:
    claim = await claimed(store, "a")

    await store.cancel("a", reason="first")
    asked = await store.get("a")
    await store.cancel("a", reason="second")

    again = await store.get("a")
    assert (asked.state, asked.error) == (TaskState.RUNNING, None)
    assert again.cancel_request_us == asked.cancel_request_us > 0
    assert await store.renew([claim], lease=LEASE) == [Verdict.CANCEL]


@pytest.mark.parametrize(
    "move",
    [
        pytest.param(_fail, id="failed"),
        pytest.param(_retry, id="failed and would be tried again"),
        pytest.param(_release, id="was released"),
    ],
)
async def test_a_running_task_that_was_told_to_stop_is_cancelled_when_it(
    store: TaskStore, move: WorkerMove
) -> None:
    claim = await claimed(store, "a")
    await store.cancel("a", reason="enough")

    assert await move(store, claim) == [Verdict.OK]

    task = await store.get("a")
    assert task.state is TaskState.CANCELLED
    assert task.error is not None
    assert (task.error.error_type, task.error.message) == (ErrorType.CANCELLED, "enough")
    assert task.error.error_us == task.end_us


async def test_a_running_task_that_was_told_to_stop_may_finish_first(store: TaskStore) -> None:
    claim = await claimed(store, "a")
    await store.cancel("a")

    await store.complete([Completion(claim, b"1")])

    task, result = await store.get_outcome("a")
    assert (task.state, task.error, result) == (TaskState.COMPLETED, None, b"1")
    assert task.cancel_request_us > 0


@pytest.mark.parametrize("state", [s for s in TaskState if s.terminal])
async def test_an_ended_task_cannot_be_cancelled(store: TaskStore, state: TaskState) -> None:
    await reach(store, state, "a")
    before = await store.get("a", full=True)

    await store.cancel("a")

    assert await store.get("a", full=True) == before


async def test_cancelling_an_unknown_task_says_so(store: TaskStore) -> None:
    with pytest.raises(TaskNotFound):
        await store.cancel("nobody")


# The fence: who may move a task


@pytest.mark.parametrize("move", WORKER_MOVES)
async def test_a_claim_of_another_attempt_moves_nothing(store: TaskStore, move: WorkerMove) -> None:
    claim = await claimed(store, "a")
    before = await store.get("a", full=True)

    assert await move(store, replace(claim, attempt=2)) == [Verdict.LOST]
    assert await move(store, replace(claim, nonce=b"guessed!")) == [Verdict.LOST]
    assert await move(store, replace(claim, nonce=b"")) == [Verdict.LOST]
    assert await move(store, replace(claim, spec=replace(claim.spec, id="b"))) == [Verdict.LOST]

    assert await store.get("a", full=True) == before


@pytest.mark.parametrize("move", WORKER_MOVES)
async def test_a_worker_whose_task_was_taken_back_moves_nothing(
    store: TaskStore, move: WorkerMove
) -> None:
    claim = await claimed(store, "a", lease=NO_TIME)
    await reclaim(store, 1, retry_delay=AN_HOUR)
    before = await store.get("a", full=True)

    assert await move(store, claim) == [Verdict.LOST]

    assert await store.get("a", full=True) == before


@pytest.mark.parametrize("move", WORKER_MOVES)
@pytest.mark.parametrize(
    "state", [TaskState.RETRYING, TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED]
)
async def test_a_claim_that_ended_its_attempt_is_recognised_and_moves_nothing(
    store: TaskStore, move: WorkerMove, state: TaskState
) -> None:
    claim = await reach(store, state, "a")
    assert claim is not None
    before = await store.get("a", full=True)

    assert await move(store, claim) == [Verdict.REPEATED]

    assert await store.get("a", full=True) == before


async def test_a_repeated_finish_does_not_count_twice(store: TaskStore) -> None:
    claim = await claimed(store, "a")
    failure = Failure(claim, BROKEN, NO_TIME)

    assert await store.fail([failure, failure]) == [Verdict.OK, Verdict.REPEATED]

    await promote(store, 1)
    assert (await claim_one(store)).failures == 1


async def test_one_lost_claim_does_not_hold_up_the_others(store: TaskStore) -> None:
    await enqueue(store, "a", "b", "c")
    a, b, c = await claim_all(store)
    lost = replace(b, nonce=b"")

    verdicts = await store.complete([Completion(claim, b"1") for claim in (a, lost, c)])

    assert verdicts == [Verdict.OK, Verdict.LOST, Verdict.OK]
    assert list((await states(store)).values()) == ["COMPLETED", "RUNNING", "COMPLETED"]


# Every move, in every state


async def _claim_move(store: TaskStore, _: Claim) -> None:
    await store.claim(["work"], count=10, worker="other", lease=LEASE)


async def _cancel_move(store: TaskStore, _: Claim) -> None:
    await store.cancel("a")


async def _promote_move(store: TaskStore, _: Claim) -> None:
    await store.promote()


async def _reclaim_move(store: TaskStore, _: Claim) -> None:
    await store.reclaim(retry_delay=NO_TIME)


async def _queue_timeout_move(store: TaskStore, _: Claim) -> None:
    await store.queue_timeout()


# Lines of upkeep that a move takes its tasks from.
async def _put_back_move(store: TaskStore, _: Claim) -> None:
    await store.retry_many(["a"], states=TERMINAL_STATES)


_LINES = (b"due", b"leases", b"queue_timeouts", b"q:work:default")
S = TaskState


@pytest.mark.damages_store
@pytest.mark.parametrize("state", list(TaskState))
@pytest.mark.parametrize(
    ("move", "leads"),
    [
        pytest.param(_complete, {S.RUNNING: S.COMPLETED}, id="complete"),
        pytest.param(_fail, {S.RUNNING: S.FAILED}, id="fail"),
        pytest.param(_retry, {S.RUNNING: S.RETRYING}, id="fail with retry"),
        pytest.param(_release, {S.RUNNING: S.QUEUED}, id="release"),
        pytest.param(_report, {}, id="report progress"),
        pytest.param(_renew, {}, id="renew"),
        pytest.param(_claim_move, {S.QUEUED: S.RUNNING}, id="claim"),
        pytest.param(
            _cancel_move,
            {state: S.CANCELLED for state in (S.SCHEDULED, S.QUEUED, S.RETRYING)},
            id="cancel",
        ),
        pytest.param(_promote_move, {S.SCHEDULED: S.QUEUED, S.RETRYING: S.QUEUED}, id="promote"),
        pytest.param(_reclaim_move, {S.RUNNING: S.RETRYING}, id="reclaim"),
        pytest.param(_queue_timeout_move, {S.QUEUED: S.FAILED}, id="queue timeout"),
        pytest.param(_put_back_move, {state: S.QUEUED for state in TERMINAL_STATES}, id="put back"),
    ],
)
async def test_a_move_goes_only_where_an_edge_leads(
    store: TaskStore,
    state: TaskState,
    move: Callable[[TaskStore, Claim], Awaitable[object]],
    leads: dict[TaskState, TaskState],
) -> None:
    other = await claimed(store, "other")
    claim = await reach(store, state, "a")
    if claim is None:
        # It never had a claim: make one that is right in all but the state.
        claim = replace(other, spec=replace(other.spec, id="a"), attempt=0)
        await store.redis.call(b"HSET", store.keys.prefix + b"t:a", b"at", b"0", b"no", claim.nonce)
    # As if a line had been left with an id that should be gone: the state alone decides.
    for name in _LINES:
        await store.redis.call(b"ZADD", store.keys.prefix + name, b"1", b"a")
    await store.redis.call(b"ZADD", store.keys.prefix + b"ready", b"1", b"work:default")

    await move(store, claim)

    now = (await store.get("a")).state
    assert now is leads.get(state, state)
    assert now is state or now in EDGES[state]
