"""GetStats: what is there now, and what happened lately."""

import asyncio
from datetime import timedelta

import grpc
import grpc.aio
import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion, Conflict, Failure
from taskline_service.task import ErrorType, TaskError
from taskline_service.task import TaskState as State
from tests.stack import Stack
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    NO_TIME,
    claim_all,
    claim_one,
    enqueue,
    new_task,
    reach,
    reclaim,
)

PbState = task_pb2.Task.State
ErrorKind = task_pb2.TaskError.Type
TIMED_OUT = TaskError(error_type=ErrorType.TIMEOUT, message="too long")


async def get_stats(
    stack: Stack, *queues: str, window: timedelta | None = None
) -> pb.GetStatsResponse:
    request = pb.GetStatsRequest(queues=queues)
    if window is not None:
        request.window.FromTimedelta(window)
    return await stack.stub.GetStats(request)


def counts(stats: pb.GetStatsResponse) -> dict[str, int]:
    """The states that tasks are in."""
    return {PbState.Name(s.state).removeprefix("STATE_"): s.count for s in stats.states if s.count}


def errors(stats: pb.GetStatsResponse) -> dict[str, int]:
    return {ErrorKind.Name(e.error_type).removeprefix("TYPE_"): e.count for e in stats.error_types}


def happened(stats: pb.GetStatsResponse) -> dict[str, int]:
    """All buckets together."""
    names = ("enqueued", "completed", "failed", "retried")
    return {name: sum(getattr(bucket, name) for bucket in stats.history) for name in names}


async def test_nothing_is_counted_where_there_is_nothing(stack: Stack) -> None:
    stats = await get_stats(stack)

    assert (stats.total, stats.success_rate, counts(stats), errors(stats)) == (0, 0.0, {}, {})
    assert [count.state for count in stats.states] == [s for s in PbState.values() if s]
    assert not stats.task_types
    assert set(happened(stats).values()) == {0}
    assert not any(bucket.HasField("queue_time_p50") for bucket in stats.history)


async def test_every_state_is_counted_in_all_and_by_type(stack: Stack) -> None:
    for state in State:  # all on one type, as nothing else is claimed
        if state is not State.QUEUED:
            await reach(stack.store, state, f"t-{state}")
    await enqueue(stack.store, "t-QUEUED", new_task("other", task_type="a.other"))

    stats = await get_stats(stack)

    assert counts(stats) == {state.value: 1 + (state is State.QUEUED) for state in State}
    assert stats.total == len(State) + 1 == sum(s.count for s in stats.states)
    assert [t.task_type for t in stats.task_types] == ["a.other", "work"]
    assert [sum(s.count for s in t.states) for t in stats.task_types] == [1, len(State)]
    assert [stats.success_rate, *(t.success_rate for t in stats.task_types)] == [0.5, 0.0, 0.5]
    assert errors(stats) == {"RUNTIME": 1}


async def test_only_the_queues_asked_for_are_counted(stack: Stack) -> None:
    store = stack.store
    for queue, count in (("p", 3), ("q", 2), ("r", 1)):
        await enqueue(store, *(new_task(f"{queue}-{i}", queue=queue) for i in range(count)))
    for claim in await claim_all(store, 6):
        error = TIMED_OUT if claim.spec.queue == "q" else BROKEN
        await store.fail([Failure(claim, error, None)])

    stats = await get_stats(stack, "p", "q", "p", "unheard-of")
    alone = await get_stats(stack, "q")

    assert (stats.total, errors(stats)) == (5, {"RUNTIME": 3, "TIMEOUT": 2})
    assert happened(stats) == {"enqueued": 5, "completed": 0, "failed": 5, "retried": 0}
    assert (alone.total, errors(alone), happened(alone)["failed"]) == (2, {"TIMEOUT": 2}, 2)


async def test_errors_are_counted_by_type_for_as_long_as_their_task_is_known(stack: Stack) -> None:
    store = stack.store
    brief = TaskStore(store.redis, store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME, max_lost=1)
    await reach(store, State.FAILED, "a")
    await reach(store, State.FAILED, "b")
    await enqueue(store, "c", "d", "e")
    claims = await claim_all(store, 2)
    await store.fail([Failure(claims[0], TIMED_OUT, None)])
    await brief.fail([Failure(claims[1], TIMED_OUT, None)])
    await claim_one(store, lease=NO_TIME)
    await reclaim(brief, 1, retry_delay=NO_TIME)
    before = errors(await get_stats(stack))

    while (await get_stats(stack)).total > 3:
        await brief.expire()
    await enqueue(store, new_task("b", on_conflict=Conflict.REPLACE_TERMINAL))

    assert before == {"RUNTIME": 2, "TIMEOUT": 2, "WORKER_LOST": 1}
    assert errors(await get_stats(stack)) == {"RUNTIME": 1, "TIMEOUT": 1}


async def test_the_history_tells_what_happened(stack: Stack) -> None:
    store = stack.store
    await enqueue(store, *(f"t-{i}" for i in range(10)))
    claims = await claim_all(store, 9)
    await store.complete([Completion(claim, b"1") for claim in claims[:4]])
    await store.fail([Failure(claim, BROKEN, None) for claim in claims[4:6]])
    await store.fail([Failure(claim, BROKEN, AN_HOUR) for claim in claims[6:9]])

    stats = await get_stats(stack)

    assert happened(stats) == {"enqueued": 10, "completed": 4, "failed": 2, "retried": 3}


async def test_the_history_survives_what_it_tells_of(stack: Stack) -> None:
    store = stack.store
    brief = TaskStore(store.redis, store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME)
    await enqueue(store, "a")
    await brief.complete([Completion(await claim_one(store), b"1")])
    while (await get_stats(stack)).total:
        await brief.expire()

    stats = await get_stats(stack)

    assert (happened(stats)["enqueued"], happened(stats)["completed"]) == (1, 1)


@pytest.mark.one_partition
async def test_percentiles_are_at_most_10_percent_off(stack: Stack) -> None:
    """The times that the tasks themselves tell, against those in the history."""
    store = stack.store
    minute = 60_000_000
    now = (await store.enqueue([new_task("clock", task_type="other")]))[0].task
    assert now is not None
    await enqueue(store, *(new_task(f"t-{i:02}") for i in range(1, 21)))
    ids = [f"t-{i:02}" for i in range(1, 21)]
    for i, task_id in enumerate(ids, 1):  # as if they had waited for 1 to 20 minutes
        key = store.keys.prefix + b"t:" + task_id.encode()
        await store.redis.call(b"HSET", key, b"du", str(now.create_us - i * minute))
    claims = await claim_all(store, 20)
    for i, claim in enumerate(claims, 1):  # and had then run for 10 to 200
        key = store.keys.prefix + b"t:" + claim.task_id.encode()
        await store.redis.call(b"HSET", key, b"sa", str(now.create_us - i * 10 * minute))
    await store.complete([Completion(claim, b"1") for claim in claims])

    bucket = max((await get_stats(stack)).history, key=lambda b: b.completed)

    assert bucket.completed == 20
    seen = [
        getattr(bucket, name).ToTimedelta() / timedelta(minutes=1)
        for name in ("queue_time_p50", "queue_time_p95", "run_time_p50", "run_time_p95")
    ]
    assert seen == pytest.approx([10, 19, 100, 190], rel=0.1)


async def test_a_lost_a_cancelled_and_a_released_attempt_have_no_run_time(stack: Stack) -> None:
    store = stack.store
    await enqueue(store, "released", "cancelled")
    claims = await claim_all(store, 2)
    await store.cancel("cancelled")
    await store.release(claims)
    await claim_one(store, lease=NO_TIME)
    await reclaim(store, 1, retry_delay=AN_HOUR)

    stats = await get_stats(stack)

    assert any(bucket.HasField("queue_time_p50") for bucket in stats.history)
    assert not any(bucket.HasField("run_time_p50") for bucket in stats.history)
    assert happened(stats)["retried"] == 1


@pytest.mark.parametrize(
    ("window", "width", "buckets"),
    [
        pytest.param(None, 60, 61, id="an hour unless said otherwise"),
        pytest.param(timedelta(0), 60, 1, id="only now"),
        pytest.param(timedelta(minutes=10), 60, 11, id="ten minutes"),
        pytest.param(timedelta(hours=2), 60, 121, id="two hours"),
        pytest.param(timedelta(hours=24), 900, 97, id="a day"),
    ],
)
async def test_the_history_reaches_back_as_far_as_asked(
    stack: Stack, window: timedelta | None, width: int, buckets: int
) -> None:
    await enqueue(stack.store, "a")

    history = (await get_stats(stack, window=window)).history

    starts = [bucket.start_time.seconds for bucket in history]
    assert [bucket.width.seconds for bucket in history] == [width] * buckets
    assert starts == list(range(starts[0], starts[0] + width * buckets, width))
    assert sum(bucket.enqueued for bucket in history) == 1


async def test_what_a_history_takes_goes_by_itself(stack: Stack) -> None:
    store = stack.store
    await enqueue(store, "a")
    await claim_one(store)

    keys: list[bytes] = await store.redis.call(b"KEYS", store.keys.prefix + b"stats:*")
    ttls = sorted({await store.redis.call(b"TTL", key) // 3600 for key in keys})

    assert len(keys) in (4, 5, 6)  # of a queue and of all, by minutes and by quarters
    assert ttls == [2, 24]


async def test_the_sums_agree_while_tasks_move(stack: Stack) -> None:
    store, done = stack.store, False

    async def work() -> None:
        nonlocal done
        for i in range(40):
            await enqueue(store, *(f"t-{i}-{j}" for j in range(5)))
            claims = await claim_all(store, 5)
            await store.complete([Completion(claim, b"1") for claim in claims[:2]])
            await store.fail([Failure(claim, BROKEN, None) for claim in claims[2:]])
        done = True

    working = asyncio.create_task(work())
    while not done:
        stats = await get_stats(stack)
        failed = counts(stats).get("FAILED", 0)
        assert stats.total == sum(s.count for s in stats.states)
        assert stats.total == sum(s.count for t in stats.task_types for s in t.states)
        assert sum(e.count for e in stats.error_types) == failed == happened(stats)["failed"]
        assert happened(stats)["enqueued"] == stats.total
    await working


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        pytest.param({"window": {"seconds": 86401}}, "window", id="more than a day"),
        pytest.param({"window": {"seconds": -1}}, "window", id="negative"),
        pytest.param({"queues": [f"q-{i}" for i in range(101)]}, "queues", id="many queues"),
    ],
)
async def test_a_request_that_cannot_be_answered_is_refused(
    stack: Stack, request_: dict[str, object], field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stack.stub.GetStats(pb.GetStatsRequest(**request_))  # type: ignore[arg-type]

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (raised.value.details() or "")
    if field == "window":
        assert "must be from 0 s to 24 h" in (raised.value.details() or "")
