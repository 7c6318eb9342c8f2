"""Who gets which task: types, queues, order, and never more than was asked for."""

import asyncio
from collections import Counter

import pytest

from taskline_service.queue_order import QueueChoice, QueueOrder
from taskline_service.store import TaskStore
from taskline_service.store.chunks import LINES_PER_CLAIM
from taskline_service.store.values import Completion, Failure, Verdict
from taskline_service.task import Progress, TaskState
from tests.census import all_keys
from tests.store.making import (
    BROKEN,
    LEASE,
    NO_TIME,
    claim_all,
    claim_one,
    claimed,
    enqueue,
    new_task,
    promote,
    states,
)


async def test_a_claim_brings_all_that_a_worker_needs(store: TaskStore) -> None:
    new = new_task("a", queue="q:with:colons", input=b'{"x": 1}', labels={"k": "v"}, priority=3)
    await enqueue(store, new)

    (claim,) = await claim_all(store, worker="worker-7")

    task = await store.get("a")
    assert claim.spec == new.spec
    assert (claim.attempt, claim.failures) == (1, 0)
    assert claim.create_us == task.create_us
    assert claim.schedule_us == task.schedule_us
    assert claim.start_us == task.start_us > 0
    assert (task.state, task.attempts, task.worker) == (TaskState.RUNNING, 1, "worker-7")


async def test_only_known_types_are_handed_out(store: TaskStore) -> None:
    await enqueue(
        store,
        new_task("a", task_type="work"),
        new_task("b", task_type="work.more"),
        new_task("c", task_type="other"),
    )

    claims = await claim_all(store, types=["work", "unheard.of"])

    assert [claim.task_id for claim in claims] == ["a"]


async def test_only_the_queues_asked_for_are_served(store: TaskStore) -> None:
    await enqueue(
        store,
        new_task("a", queue="x"),
        new_task("b", queue="y"),
        new_task("c", queue="x:y"),
    )

    chosen = await claim_all(store, queues=["y", "x:y"])
    rest = await claim_all(store)

    assert [claim.task_id for claim in chosen] == ["b", "c"]
    assert [claim.task_id for claim in rest] == ["a"]


async def test_a_paused_queue_hands_out_nothing(store: TaskStore) -> None:
    await enqueue(store, new_task("a", queue="x"), new_task("b", queue="y"))
    paused = store.keys.prefix + b"paused"

    await store.redis.call(b"SADD", paused, b"x")
    during = await claim_all(store)
    await store.redis.call(b"SREM", paused, b"x")
    after = await claim_all(store)

    assert [claim.task_id for claim in during] == ["b"]
    assert [claim.task_id for claim in after] == ["a"]


@pytest.mark.parametrize("at_once", [1, 3, 100])
async def test_tasks_of_many_lines_come_in_one_order(store: TaskStore, at_once: int) -> None:
    types, queues = ["x", "y", "z"], ["p", "q"]
    ids = [f"t-{i}" for i in range(60)]
    for i, task_id in enumerate(ids):
        await enqueue(store, new_task(task_id, task_type=types[i % 3], queue=queues[i // 2 % 2]))

    got = list[str]()
    while claims := await claim_all(store, at_once, types=types):
        got += [claim.task_id for claim in claims]

    assert got == ids


async def test_the_most_urgent_task_comes_first_whatever_its_line(store: TaskStore) -> None:
    await enqueue(
        store,
        new_task("a", task_type="x"),
        new_task("b", task_type="x", priority=1),
        new_task("c", task_type="y", priority=2),
        new_task("d", task_type="y"),
    )

    claims = await claim_all(store, types=["x", "y"])

    assert [claim.task_id for claim in claims] == ["c", "b", "a", "d"]


async def test_never_more_than_asked_for(store: TaskStore) -> None:
    await enqueue(store, *(new_task(f"t-{i}", task_type="xy"[i % 2]) for i in range(10)))

    claims = await claim_all(store, 7, types=["x", "y"])

    assert len(claims) == 7
    assert sorted((await states(store)).values()) == ["QUEUED"] * 3 + ["RUNNING"] * 7


async def test_a_worker_finds_its_line_behind_hundreds_that_it_cannot_serve(
    store: TaskStore,
) -> None:
    others = [new_task(f"t-{i}", task_type=f"other-{i}") for i in range(990)]
    await enqueue(store, *others, new_task("mine"))

    assert (await claim_one(store)).task_id == "mine"


async def test_each_task_is_claimed_once_by_workers_that_ask_at_the_same_time(
    store: TaskStore,
) -> None:
    ids = [f"t-{i}" for i in range(200)]
    await enqueue(store, *ids)

    shares = await asyncio.gather(*(claim_all(store, 7, worker=f"w-{i}") for i in range(40)))

    assert sorted(claim.task_id for claims in shares for claim in claims) == sorted(ids)


@pytest.mark.damages_store
async def test_ids_without_a_record_are_told_and_passed_over(store: TaskStore) -> None:
    await enqueue(store, "a", "gone", "unread", "b")
    await store.redis.call(b"DEL", store.keys.prefix + b"t:gone")
    await store.redis.call(b"DEL", store.keys.prefix + b"s:unread")

    claims, dangling, _ = await store.claim(["work"], count=10, worker="w", lease=LEASE)

    assert [claim.task_id for claim in claims] == ["a", "b"]
    assert dangling == ["gone", "unread"]
    assert await store.claim(["work"], count=10, worker="w", lease=LEASE) == ([], [], False)


@pytest.mark.damages_store
async def test_what_is_no_line_keeps_nobody_from_claiming(store: TaskStore) -> None:
    await enqueue(store, "a")
    await store.redis.call("ZADD", store.keys.prefix + b"ready", "1", "nonsense")

    assert (await claim_one(store)).task_id == "a"


async def test_an_emptied_line_is_no_longer_ready(store: TaskStore) -> None:
    await enqueue(store, "a")

    await claim_all(store)

    assert "ready" not in await all_keys(store.redis, store.keys)


async def test_each_attempt_has_a_nonce_of_its_own(store: TaskStore) -> None:
    await enqueue(store, "a")
    first = await claim_one(store)
    await store.release([first])

    second = await claim_one(store)

    assert first.nonce != second.nonce
    assert (first.attempt, second.attempt) == (1, 2)
    assert await store.complete([Completion(first, b"1")]) == [Verdict.LOST]
    assert await store.complete([Completion(second, b"2")]) == [Verdict.OK]


async def test_a_claim_forgets_the_error_and_progress_of_the_attempt_before(
    store: TaskStore,
) -> None:
    first = await claimed(store, "a")
    await store.report_progress([(first, Progress(current=1))])
    await store.fail([Failure(first, BROKEN, NO_TIME)])
    await promote(store, 1)

    second = await claim_one(store)

    task = await store.get("a")
    assert (second.attempt, second.failures) == (2, 1)
    assert (task.error, task.progress) == (None, None)


@pytest.mark.parametrize("at_once", [1, 3, 100])
async def test_in_strict_order_a_queue_is_emptied_before_the_next_is_served(
    store: TaskStore, at_once: int
) -> None:
    queues = ["last", "first", "middle"]
    for i in range(30):
        await enqueue(store, new_task(f"{queues[i % 3]}-{i:02}", queue=queues[i % 3]))

    got = list[str]()
    strict = ("first", "middle", "last")
    while claims := await claim_all(store, at_once, queues=strict, order=QueueOrder.STRICT):
        got += [claim.task_id for claim in claims]

    assert got == sorted(got, key=lambda task_id: (strict.index(task_id[:-3]), task_id))


async def test_within_a_queue_of_a_strict_order_the_most_urgent_task_comes_first(
    store: TaskStore,
) -> None:
    await enqueue(
        store,
        new_task("a", task_type="x", queue="second", priority=9),
        new_task("b", task_type="x", queue="first"),
        new_task("c", task_type="y", queue="first", priority=1),
    )

    claims = await claim_all(
        store, types=["x", "y"], queues=["first", "second"], order=QueueOrder.STRICT
    )

    assert [claim.task_id for claim in claims] == ["c", "b", "a"]


async def test_by_weight_queues_are_served_in_proportion(store: TaskStore) -> None:
    choice = QueueChoice({"often": 3, "seldom": 1}, QueueOrder.WEIGHTED)
    for queue in choice.names:
        await enqueue(store, *(new_task(f"{queue}-{i}", queue=queue) for i in range(400)))

    first = Counter[str]()
    for _ in range(400):
        claims, *_ = await store.claim(["work"], count=1, worker="w", lease=LEASE, queues=choice)
        first.update(claim.spec.queue for claim in claims)

    # 300 to 100, give or take five standard deviations (of 8.7).
    assert 256 <= first["often"] <= 344
    assert first.total() == 400


async def test_a_queue_of_little_weight_gets_what_the_others_leave(store: TaskStore) -> None:
    await enqueue(store, new_task("a", queue="often"), new_task("b", queue="seldom"))
    choice = QueueChoice({"often": 1000, "seldom": 1}, QueueOrder.WEIGHTED)

    claims, *_ = await store.claim(["work"], count=2, worker="w", lease=LEASE, queues=choice)

    assert {claim.task_id for claim in claims} == {"a", "b"}


async def test_tasks_of_many_lines_are_given_some_lines_at_a_time(store: TaskStore) -> None:
    types = [f"type-{i:02}" for i in range(LINES_PER_CLAIM + 5)]
    for name in types:  # of each two, the first ones before all second ones
        await enqueue(store, new_task(f"{name}-1", task_type=name))
    for name in types:
        await enqueue(store, new_task(f"{name}-2", task_type=name))

    taken, more = list[list[str]](), True
    while more:
        claims, _, more = await store.claim(types, count=64, worker="w", lease=LEASE)
        taken.append([claim.task_id for claim in claims])

    assert [len(ids) for ids in taken] == [LINES_PER_CLAIM, LINES_PER_CLAIM, 10]
    assert taken[0] == [f"{name}-1" for name in types[:LINES_PER_CLAIM]]
    assert len({task_id for ids in taken for task_id in ids}) == 2 * len(types)
