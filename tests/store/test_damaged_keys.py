"""Keys of a wrong type: a move among them is made whole or not at all, and once they are mended."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from taskline_service.errors import StoreDamaged, TaskDamaged
from taskline_service.fsck import check_store, repair_store
from taskline_service.fsck.invariants import Invariant
from taskline_service.store import TaskStore
from taskline_service.store.values import (
    Completion,
    Conflict,
    EnqueueStatus,
    Failure,
    LogLine,
    Verdict,
)
from taskline_service.task import Claim, Progress, TaskState
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
)

pytestmark = pytest.mark.damages_store

S = TaskState
LINE = "work:default"
KEYS = (
    *("rev", "log", "leases", "due", "retention", "queue_timeouts", "ready", "lines", "paused"),
    *("failed_by", "reclaiming", "types", "types_seen", f"q:{LINE}", "label:team=one"),
    *(f"i:{state}:{LINE}" for state in TaskState),
    *("h:a", "a:a", "c:worker-1"),
)
# What cannot be put back: a story that somebody has overwritten.
MOURNED = {Invariant.HISTORY}
AHEAD = "an entry of the log beyond the revision"
# What is written although the move is not made; none of it is about a task.
ASIDE = (b"reclaiming", b"stats:", b"c:")

Prepared = Any
Act = Callable[[TaskStore, Prepared], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Move:
    """One of a task "a", of which there is everything that there can be."""

    prepare: Callable[[TaskStore], Awaitable[Prepared]]
    act: Act
    # What the task is after it; None if there is none any more.
    becomes: TaskState | None


def task_a(**fields: Any) -> Any:
    return new_task("a", labels={"team": "one"}, queue_timeout=AN_HOUR, **fields)


async def nothing(_store: TaskStore) -> None:
    """The task is to be made."""


async def waiting(store: TaskStore) -> None:
    await enqueue(store, task_a())


async def running(store: TaskStore) -> Claim:
    """In its second attempt, with a story."""
    await enqueue(store, task_a())
    first = await claim_one(store)
    await store.append([LogLine(first, 1, "hello", None)])
    await store.fail([Failure(first, BROKEN, NO_TIME)])
    await promote(store, 1)
    claim = await claim_one(store)
    await store.report_progress([(claim, Progress(current=1))])
    return claim


async def failed(store: TaskStore) -> None:
    await store.fail([Failure(await running(store), BROKEN, None)])


async def due(store: TaskStore) -> None:
    await store.fail([Failure(await running(store), BROKEN, NO_TIME)])


async def late(store: TaskStore) -> None:
    await enqueue(store, new_task("a", labels={"team": "one"}, queue_timeout=NO_TIME))


async def lost(store: TaskStore) -> None:
    await store.renew([await running(store)], lease=NO_TIME)


async def over(store: TaskStore) -> None:
    await failed(_brief(store))


def _brief(store: TaskStore) -> TaskStore:
    return TaskStore(store.redis, store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME)


async def _one(answer: Awaitable[list[Any]]) -> object:
    (only,) = await answer
    return only


MOVES = {
    "enqueue": Move(nothing, lambda s, _: _one(s.enqueue([task_a()])), S.QUEUED),
    "enqueue for later": Move(
        nothing, lambda s, _: _one(s.enqueue([task_a(delay=AN_HOUR)])), S.SCHEDULED
    ),
    "replace": Move(
        failed,
        lambda s, _: _one(s.enqueue([task_a(on_conflict=Conflict.REPLACE_TERMINAL)])),
        S.QUEUED,
    ),
    "claim": Move(
        waiting,
        lambda s, _: s.claim(["work"], count=1, worker="worker-1", lease=LEASE),
        S.RUNNING,
    ),
    "renew": Move(running, lambda s, c: _one(s.renew([c], lease=LEASE)), S.RUNNING),
    "progress": Move(
        running, lambda s, c: _one(s.report_progress([(c, Progress(current=2))])), S.RUNNING
    ),
    "append": Move(running, lambda s, c: _one(s.append([LogLine(c, 2, "on", None)])), S.RUNNING),
    "complete": Move(running, lambda s, c: _one(s.complete([Completion(c, b"1")])), S.COMPLETED),
    "fail": Move(running, lambda s, c: _one(s.fail([Failure(c, BROKEN, None)])), S.FAILED),
    "fail, to be retried": Move(
        running, lambda s, c: _one(s.fail([Failure(c, BROKEN, AN_HOUR)])), S.RETRYING
    ),
    "release": Move(running, lambda s, c: _one(s.release([c])), S.QUEUED),
    "cancel what waits": Move(waiting, lambda s, _: s.cancel("a"), S.CANCELLED),
    "cancel what runs": Move(running, lambda s, _: s.cancel("a"), S.RUNNING),
    "promote": Move(due, lambda s, _: s.promote(), S.QUEUED),
    "queue_timeout": Move(late, lambda s, _: s.queue_timeout(), S.FAILED),
    "reclaim": Move(lost, lambda s, _: s.reclaim(retry_delay=AN_HOUR), S.RETRYING),
    "expire": Move(over, lambda s, _: s.expire(), None),
    "retry": Move(failed, lambda s, _: s.retry("a"), S.QUEUED),
    "delete": Move(failed, lambda s, _: s.delete("a"), None),
}


async def damage(store: TaskStore, name: str) -> str:
    """A stranger's SET, or an entry in the log; returns the key."""
    if name == AHEAD:
        await store.redis.call(b"XADD", store.keys.log, b"*", b"x", b"rubbish")
        return store.keys.log.decode()
    key = store.keys.prefix + name.encode()
    await store.redis.call(b"SET", key, b"rubbish")
    return key.decode()


async def contents(store: TaskStore) -> Mapping[bytes, bytes]:
    """All that is in the store."""
    prefix, found = store.keys.prefix, dict[bytes, bytes]()
    for key in await store.redis.call(b"KEYS", prefix.replace(b"[", b"\\[") + b"*"):
        if not key.removeprefix(prefix).startswith(ASIDE):
            found[key] = await store.redis.call(b"DUMP", key)
    return found


async def state_of(store: TaskStore) -> TaskState | None:
    (task,) = await store.get_many(["a"])
    return None if task is None else task.state


@pytest.mark.parametrize("name", [*KEYS, AHEAD])
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
async def test_a_move_among_damaged_keys_is_made_whole_or_not_at_all(
    store: TaskStore, move: Move, name: str
) -> None:
    prepared = await move.prepare(store)
    key = await damage(store, name)
    before = await contents(store)

    try:
        await move.act(store, prepared)
        refused = None
    except (StoreDamaged, TaskDamaged) as error:
        refused = error
    after = await contents(store)
    if refused is not None:
        assert after == before, "nothing is half-written"
        assert refused.metadata["key"] == key
        assert "fsck --repair" in refused.message

    await repair_store(store.redis, store.keys)
    if after == before:
        await move.act(store, prepared)
    report = await check_store(store.redis, store.keys)
    offences = [offence for offence in report.offences if offence.invariant not in MOURNED]
    assert not offences, "\n".join(map(str, offences))
    assert await state_of(store) is move.becomes


async def test_tasks_of_a_damaged_line_hold_up_no_others(store: TaskStore) -> None:
    await enqueue(store, *(new_task(f"bad-{i}", task_type="bad", delay=NO_TIME) for i in range(40)))
    claims = [*(await claim_all(store, 40, types=["bad"])), await claimed(store, "good")]
    await store.fail([Failure(claim, BROKEN, NO_TIME) for claim in claims])
    await damage(store, "q:bad:default")

    upkept = await store.promote()
    refused = await store.enqueue(
        [new_task("new", task_type="bad"), new_task("fine")], partial=True
    )
    taken, *_ = await store.claim(["bad", "work"], count=5, worker="w", lease=LEASE)

    assert upkept.count == 1
    assert upkept.wait is not None
    assert upkept.wait >= timedelta(seconds=1), "what cannot be moved is not due at once again"
    assert [outcome.status for outcome in refused] == [EnqueueStatus.DAMAGED, EnqueueStatus.CREATED]
    assert {claim.task_id for claim in taken} == {"fine", "good"}
    verdicts = await store.complete([Completion(claim, b"1") for claim in taken])
    assert verdicts == [Verdict.OK] * 2
    await repair_store(store.redis, store.keys)
    await promote(store, 40)


async def test_of_a_batch_only_what_a_damaged_key_holds_up_waits(store: TaskStore) -> None:
    good = await claimed(store, "good")
    await enqueue(store, new_task("bad", task_type="bad"))
    (bad,) = await claim_all(store, 1, types=["bad"])
    await damage(store, "i:COMPLETED:bad:default")

    verdicts = await store.complete([Completion(bad, b"1"), Completion(good, b"1")])
    before = (await store.get("bad")).state
    await repair_store(store.redis, store.keys)
    again = await store.complete([Completion(bad, b"1"), Completion(good, b"1")])

    assert verdicts == [Verdict.DAMAGED, Verdict.OK]
    assert before is S.RUNNING
    assert again == [Verdict.OK, Verdict.REPEATED]
    assert (await store.get("bad")).state is S.COMPLETED
