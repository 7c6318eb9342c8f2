"""Records that cannot be understood: passed over and told; nothing else is held up."""

import logging
from collections.abc import Sequence
from datetime import timedelta

import pytest

from taskline_service.errors import TaskDamaged, TaskNotFound
from taskline_service.store import TaskStore
from taskline_service.store.values import (
    Completion,
    EnqueueStatus,
    Failure,
    ListQuery,
    Verdict,
)
from taskline_service.task import ErrorType, TaskState
from tests.store.making import (
    BROKEN,
    LEASE,
    NO_TIME,
    claim_all,
    claimed,
    enqueue,
    new_task,
    promote,
    reclaim,
)

pytestmark = pytest.mark.damages_store

RECORDS = {
    "an unknown state": (["HSET", "t:bad", "st", "SLEEPING"],),
    "no state": (["HDEL", "t:bad", "st"],),
    "no line": (["HDEL", "t:bad", "ln"],),
    "a line without a queue": (["HSET", "t:bad", "ln", "work"],),
    "no creation time": (["HDEL", "t:bad", "ct"],),
    "a due time that is no number": (["HSET", "t:bad", "du", "soon"],),
    "attempts that are no number": (["HSET", "t:bad", "at", "x"],),
    "no sequence": (["HDEL", "t:bad", "sq"],),
    "a sequence below zero": (["HSET", "t:bad", "sq", "-1"],),
    "a sequence that is not a number": (["HSET", "t:bad", "sq", "nan"],),
    "a sequence without end": (["HSET", "t:bad", "sq", "inf"],),
    "a sequence that scripts cannot count": (["HSET", "t:bad", "sq", "99999999999999999999"],),
    "a sequence in another notation": (["HSET", "t:bad", "sq", "0x10"],),
    "a broken number of attempts": (["HSET", "t:bad", "at", "1.5"],),
    "attempts that no answer has room for": (["HSET", "t:bad", "at", "3000000000"],),
    "an end that cannot be read": (["HSET", "t:bad", "xp", "soon"],),
    "a result size that cannot be read": (["HSET", "t:bad", "rs", "-7"],),
    "a start that scripts cannot count": (["HSET", "t:bad", "ss", "9007199254740992"],),
    "started by nobody": (["HSET", "t:bad", "at", "1"], ["HDEL", "t:bad", "wo"]),
    "started at no time": (["HSET", "t:bad", "at", "1"], ["HDEL", "t:bad", "sa"]),
    "a line that is no text": (["HSET", "t:bad", "ln", "\xff:\xff"],),
    "a string for a record": (["DEL", "t:bad"], ["SET", "t:bad", "x"]),
}
damaged_record = pytest.mark.parametrize("commands", RECORDS.values(), ids=RECORDS.keys())

SPECS = {
    "gone": (["DEL", "s:bad"],),
    "empty": (["SET", "s:bad", ""],),
    "no msgpack": (["SET", "s:bad", "\0\0\0\x03\xc1\xc1\xc1"],),
    "cut short": (["SET", "s:bad", "\0\0\x01\0abc"],),
    "of another shape": (["SET", "s:bad", "\0\0\0\x01\x90"],),
    "of another type": (["DEL", "s:bad"], ["RPUSH", "s:bad", "x"]),
}
damaged_spec = pytest.mark.parametrize("commands", SPECS.values(), ids=SPECS.keys())

Commands = Sequence[Sequence[str]]


async def damage(store: TaskStore, commands: Commands) -> None:
    for name, key, *rest in commands:
        texts = [text.encode("latin-1") for text in rest]
        await store.redis.call(name, store.keys.prefix + key.encode(), *texts)


@damaged_record
async def test_a_claim_passes_over_a_damaged_record(store: TaskStore, commands: Commands) -> None:
    await enqueue(store, "a", "bad", "b")
    await damage(store, commands)

    claims, dangling, _ = await store.claim(["work"], count=10, worker="w", lease=LEASE)

    assert [claim.task_id for claim in claims] == ["a", "b"]
    assert dangling == ["bad"]
    assert await store.complete([Completion(claim, b"1") for claim in claims]) == [Verdict.OK] * 2


@damaged_spec
async def test_a_task_whose_input_is_lost_fails_and_others_are_claimed(
    store: TaskStore, commands: Commands
) -> None:
    await enqueue(store, "a", "bad", "b")
    await damage(store, commands)

    claims, dangling, _ = await store.claim(["work"], count=10, worker="w", lease=LEASE)

    assert [claim.task_id for claim in claims] == ["a", "b"]
    assert dangling == ["bad"]
    assert await state_of(store, "bad") == TaskState.FAILED


async def state_of(store: TaskStore, task_id: str) -> str:
    state: bytes = await store.redis.call("HGET", store.keys.prefix + f"t:{task_id}".encode(), "st")
    return state.decode()


@damaged_record
async def test_damaged_records_hold_up_nothing_that_is_due(
    store: TaskStore, commands: Commands
) -> None:
    soon = timedelta(milliseconds=1)
    await enqueue(store, new_task("bad", delay=soon), new_task("a", delay=soon))
    await damage(store, commands)

    await promote(store, 1)

    assert [claim.task_id for claim in await claim_all(store)] == ["a"]


@damaged_record
async def test_damaged_records_hold_up_no_queue_timeout(
    store: TaskStore, commands: Commands
) -> None:
    waiting = [new_task(name, queue_timeout=timedelta(microseconds=1)) for name in ("bad", "a")]
    await enqueue(store, *waiting)
    await damage(store, commands)

    upkept = await store.queue_timeout()

    assert (upkept.count, upkept.dangling) == (1, ("bad",))


@damaged_record
async def test_damaged_records_hold_up_no_lost_lease(store: TaskStore, commands: Commands) -> None:
    lease = timedelta(milliseconds=1)
    await claimed(store, "bad", lease=lease)
    await claimed(store, "a", lease=lease)
    await damage(store, commands)

    reclaimed = await reclaim(store, 1, retry_delay=NO_TIME)

    assert [r.task_id for r in reclaimed] == ["a"]
    assert store.damage.count == 1


@damaged_record
async def test_damaged_records_hold_up_no_expiry(store: TaskStore, commands: Commands) -> None:
    store = TaskStore(
        store.redis, store.keys, result_ttl=NO_TIME, record_ttl=timedelta(microseconds=1)
    )
    for name in ("bad", "a"):
        await store.complete([Completion(await claimed(store, name), b"1")])
    await damage(store, commands)

    upkept = await store.expire()

    assert (upkept.count, upkept.dangling) == (1, ("bad",))
    with pytest.raises(TaskNotFound):
        await store.get("a")


@damaged_record
async def test_lists_pass_over_damaged_records_and_tell_of_them_once(
    store: TaskStore, commands: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    await enqueue(store, "a", "bad", "b")
    await damage(store, commands)

    with caplog.at_level(logging.ERROR):
        pages = [await store.list(ListQuery(full=True), count=10) for _ in range(2)]

    assert [[task.id for task in page.tasks] for page in pages] == [["b", "a"]] * 2
    assert [record.message.split(" is damaged")[0] for record in caplog.records] == ["task bad"]
    assert store.damage.count == 1


@damaged_record
async def test_who_asks_for_a_damaged_task_is_told_that_it_is_damaged(
    store: TaskStore, commands: Commands
) -> None:
    await enqueue(store, "bad")
    await damage(store, commands)

    for asking in (store.get, store.get_outcome, store.cancel, store.retry, store.delete):
        with pytest.raises(TaskDamaged):
            await asking("bad")


@damaged_record
async def test_a_damaged_record_is_not_overwritten(store: TaskStore, commands: Commands) -> None:
    await enqueue(store, "bad")
    await damage(store, commands)

    refused = await store.enqueue([new_task("bad"), new_task("a")])
    partial = await store.enqueue([new_task("bad"), new_task("a")], partial=True)

    assert refused[0].status is partial[0].status is EnqueueStatus.DAMAGED
    assert partial[1].status is EnqueueStatus.CREATED


@damaged_record
async def test_a_worker_that_holds_a_damaged_task_has_lost_it(
    store: TaskStore, commands: Commands
) -> None:
    bad, good = await claimed(store, "bad"), await claimed(store, "a")
    await damage(store, commands)

    assert await store.renew([bad, good], lease=LEASE) == [Verdict.LOST, Verdict.HELD]
    assert await store.complete([Completion(c, b"1") for c in (bad, good)]) == [
        Verdict.LOST,
        Verdict.OK,
    ]


async def test_an_error_that_cannot_be_understood_is_told_as_damage(store: TaskStore) -> None:
    claim = await claimed(store, "bad")
    await store.fail([Failure(claim, BROKEN, None)])
    await damage(store, [["SET", "e:bad", "\0\0\0\x02\xc1\xc1"]])

    with pytest.raises(TaskDamaged):
        await store.get("bad")
    assert (await store.list(ListQuery(), count=10)).tasks == []


async def test_a_task_that_failed_for_its_lost_input_says_so(store: TaskStore) -> None:
    await enqueue(store, "bad")
    blob: bytes = await store.redis.call("GET", store.keys.prefix + b"s:bad")
    await damage(store, [["SET", "s:bad", "\0\0\0\x03\xc1\xc1\xc1"]])
    await store.claim(["work"], count=10, worker="w", lease=LEASE)
    await store.redis.call("SET", store.keys.prefix + b"s:bad", blob)

    task = await store.get("bad")

    assert task.error is not None
    assert task.error.error_type is ErrorType.STORAGE
    assert "cannot be understood" in task.error.message


@damaged_record
async def test_lists_that_look_at_each_task_pass_over_damaged_records(
    store: TaskStore, commands: Commands
) -> None:
    await enqueue(store, *(new_task(name, labels={"k": "v"}) for name in ("a", "bad", "b")))
    await damage(store, commands)

    for query in (ListQuery(labels={"k": "v"}), ListQuery(min_attempts=0, max_create_us=2**52)):
        page = await store.list(query, count=10)
        assert [task.id for task in page.tasks] == ["b", "a"]


@damaged_spec
async def test_a_task_that_nobody_could_execute_is_not_put_back(
    store: TaskStore, commands: Commands
) -> None:
    await store.complete([Completion(await claimed(store, "bad"), b"1")])
    await damage(store, commands)

    with pytest.raises(TaskDamaged):
        await store.retry("bad")

    assert await state_of(store, "bad") == TaskState.COMPLETED
    assert await store.redis.call("HGET", store.keys.prefix + b"t:bad", "rv") == b"1"
