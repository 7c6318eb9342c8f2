"""A store that was damaged: each offence is found and named, and mended where that is safe."""

from collections import Counter
from dataclasses import replace

import pytest

from taskline_service.errors import TaskDamaged
from taskline_service.fsck import Invariant, Report, check_store, repair_store
from taskline_service.store import Directory, TaskStore
from taskline_service.store.values import EnqueueStatus, ListQuery
from taskline_service.task import TaskState
from tests.census import all_keys
from tests.fsck.populated import damage, populate
from tests.store.making import AN_HOUR, NO_TIME, claim_one, enqueue, new_task, reclaim, states

pytestmark = pytest.mark.damages_store

Inv = Invariant

# By what it is: the commands that do it, with keys after the prefix; the one offence, and whose.
MENDABLE: dict[str, tuple[str, Invariant, str]] = {
    "a queued task is in no line": ("ZREM q:work:default waiting", Inv.PLACE, "task waiting"),
    "a queued task waits at the wrong place": (
        "ZADD q:work:default 9999999999999999 waiting",
        Inv.PLACE,
        "task waiting",
    ),
    "a scheduled task is never due": ("ZREM due scheduled", Inv.PLACE, "task scheduled"),
    "a retried task is never due": ("ZREM due retrying", Inv.PLACE, "task retrying"),
    "a running task has no lease": ("ZREM leases running", Inv.PLACE, "task running"),
    "a completed task is never dropped": ("ZREM retention completed", Inv.PLACE, "task completed"),
    "a failed task is dropped too early": ("ZADD retention 1 failed", Inv.PLACE, "task failed"),
    "a running task waits too": ("ZADD q:work:default 9e18 running", Inv.PLACE, "task running"),
    "a running task waits first": (
        "ZADD q:work:default 1 running; ZADD ready 1 work:default",
        Inv.PLACE,
        "task running",
    ),
    "a queued task has a lease": ("ZADD leases 1 queued", Inv.PLACE, "task queued"),
    "a running task is to be dropped": ("ZADD retention 1 running", Inv.PLACE, "task running"),
    "a failed task is due": ("ZADD due 1 failed", Inv.PLACE, "task failed"),
    "a task that is not there has a lease": ("ZADD leases 1 ghost", Inv.MEMBER, "task ghost"),
    "a task that is not there is listed": (
        "ZADD i:FAILED:work:default 1 ghost",
        Inv.MEMBER,
        "task ghost",
    ),
    "a task that is not there has a label": ("ZADD label:team=a 1 ghost", Inv.MEMBER, "task ghost"),
    "a queue timeout is forgotten": (
        "ZREM queue_timeouts waiting",
        Inv.QUEUE_TIMEOUT,
        "task waiting",
    ),
    "a queue timeout comes too early": (
        "ZADD queue_timeouts 1 waiting",
        Inv.QUEUE_TIMEOUT,
        "task waiting",
    ),
    "a task without queue timeout has one": (
        "ZADD queue_timeouts 1 queued",
        Inv.QUEUE_TIMEOUT,
        "task queued",
    ),
    "a task is not listed": (
        "ZREM i:RUNNING:work:default running",
        Inv.STATE_INDEX,
        "task running",
    ),
    "a task is listed at the wrong place": (
        "ZADD i:RUNNING:work:default 1 running",
        Inv.STATE_INDEX,
        "task running",
    ),
    "a task is listed in another state too": (
        "ZADD i:QUEUED:work:default 1 running",
        Inv.STATE_INDEX,
        "task running",
    ),
    "a label is forgotten": ("ZREM label:team=a waiting", Inv.LABEL_INDEX, "task waiting"),
    "a task has a label that it was not given": (
        "ZADD label:team=b 1 waiting",
        Inv.LABEL_INDEX,
        "task waiting",
    ),
    "a task does not know of its labels": ("HDEL t:waiting lb", Inv.LABEL_INDEX, "task waiting"),
    "a task without labels says it has some": (
        "HSET t:queued lb 1",
        Inv.LABEL_INDEX,
        "task queued",
    ),
    "a line with waiting tasks is not ready": (
        "ZREM ready work:default",
        Inv.READY,
        "line work:default",
    ),
    "a line is ready at the wrong time": (
        "ZADD ready 1 work:default",
        Inv.READY,
        "line work:default",
    ),
    "an empty line is ready": ("ZADD ready 1 work:other", Inv.READY, "line work:other"),
    "a line without tasks is known": ("SADD lines work:other", Inv.LINES, "line work:other"),
    "a line is not known": ("SREM lines work:default", Inv.LINES, "line work:default"),
    "failures are counted wrong": (
        "HINCRBY failed_by runtime:default 1",
        Inv.FAILED_BY,
        "counter runtime:default",
    ),
    "failures are not counted": ("DEL failed_by", Inv.FAILED_BY, "counter runtime:default"),
    "failures are counted that there are not": (
        "HSET failed_by timeout:elsewhere 3",
        Inv.FAILED_BY,
        "counter timeout:elsewhere",
    ),
    "a counter of failures is no number": (
        "HSET failed_by runtime:default many",
        Inv.FAILED_BY,
        "counter runtime:default",
    ),
    "the revision is behind the log": ("SET rev 1", Inv.REVISION, "the revision"),
    "the revision is behind what the log has forgotten": (
        "XTRIM log MAXLEN 0;SET rev 1",
        Inv.REVISION,
        "the revision",
    ),
    "the revision is lost": ("DEL rev", Inv.REVISION, "the revision"),
    "the revision is no number": ("SET rev x", Inv.REVISION, "the revision"),
    "a task type was never seen": ("ZREM types_seen work", Inv.TYPES, "task type work"),
    "a task type that was seen is not known": ("HDEL types work", Inv.TYPES, "task type work"),
    "a record expires by itself": ("EXPIRE t:queued 1000", Inv.KEY_TTL, "key t:queued"),
    "a result expires by itself": ("EXPIRE r:completed 1000", Inv.KEY_TTL, "key r:completed"),
    "a worker is there for ever": ("PERSIST w:worker-1", Inv.KEY_TTL, "key w:worker-1"),
    "statistics are there for ever": (
        "HSET stats:60:60:default enqueued 1",
        Inv.KEY_TTL,
        "key stats:60:60:default",
    ),
    "a result belongs to nothing": ("SET r:ghost 1", Inv.OWNER, "key r:ghost"),
    "what was set apart stays for ever": ("SET x:r:gone 1", Inv.KEY_TTL, "key x:r:gone"),
    "a key of the wrong type": ("DEL paused; SET paused 1", Inv.KEY_TYPE, "key paused"),
    "a spec belongs to nothing": ("SET s:ghost 1", Inv.OWNER, "key s:ghost"),
    "a history belongs to nothing": ("XADD h:gh:ost 1-0 e 1", Inv.OWNER, "key h:gh:ost"),
    "a failed task has a result": ("SET r:failed 1", Inv.RESULT, "task failed"),
    "a failed task has a short result": ("HSET t:failed rv 1", Inv.RESULT, "task failed"),
}
NOT_MENDABLE: dict[str, tuple[str, Invariant, str]] = {
    "a foreign key": ("SET jobs 1", Inv.KNOWN_KEY, "key jobs"),
    "an index of a state that there is not": (
        "ZADD i:SLEEPING:work:default 1 running",
        Inv.KNOWN_KEY,
        "key i:SLEEPING:work:default",
    ),
    "another number of partitions than there are": (
        "SET partitions 3",
        Inv.PARTITION,
        "the number of partitions",
    ),
    "a field that there is not": ("HSET t:queued zz 1", Inv.FIELDS, "task queued"),
    "a running task without a nonce": ("HSET t:running no ''", Inv.FIELDS, "task running"),
    "a running task that has ended": ("HSET t:running ea 1", Inv.FIELDS, "task running"),
    "a failed task without an end": ("HDEL t:failed ea", Inv.FIELDS, "task failed"),
    "a queued task that was asked to stop": ("HSET t:queued cr 1", Inv.FIELDS, "task queued"),
    "what was enqueued is lost": ("DEL s:queued", Inv.SPEC, "task queued"),
    "what was enqueued is unreadable": ("SET s:queued xxxxxxxx", Inv.SPEC, "task queued"),
    "another priority than was enqueued": (
        "HSET t:retrying pr 9",
        Inv.SPEC,
        "task retrying",
    ),
    "the failure is lost": ("DEL e:failed", Inv.ERROR, "task failed"),
    "the failure is unreadable": ("SET e:failed xxxxxxxx", Inv.ERROR, "task failed"),
    "a failure of a task that has none": ("SET e:queued xxxxxxxx", Inv.ERROR, "task queued"),
    "unreadable progress": ("SET g:running x", Inv.PROGRESS, "task running"),
    "progress of what never ran": (
        "COPY g:running g:queued; HSET t:queued sq 9",
        Inv.PROGRESS,
        "task queued",
    ),
    "an unreadable attempt": ("RPUSH a:retrying x", Inv.ATTEMPTS, "task retrying"),
    "an attempt that is yet to come": ("COPY a:retrying a:running", Inv.ATTEMPTS, "task running"),
    "a result that is cut short": ("SET r:completed ''", Inv.RESULT, "task completed"),
    "a lost result": ("DEL r:completed", Inv.RESULT, "task completed"),
    "a short result that is another": (
        "HSET t:completed rv 1",
        Inv.RESULT,
        "task completed",
    ),
    "more failures than attempts": ("HSET t:running fl 1", Inv.BUDGETS, "task running"),
    "more failures than allowed": (
        "HSET t:retrying fl 4 at 4",
        Inv.BUDGETS,
        "task retrying",
    ),
    "more losses than allowed": ("HSET t:retrying lo 4 at 9", Inv.BUDGETS, "task retrying"),
    "a start that is yet to come": ("HSET t:running ss 99", Inv.SEQUENCE, "task running"),
    "an event that is yet to come": (
        "XADD h:running 99-0 e x; HSET t:running hs 3",
        Inv.SEQUENCE,
        "task running",
    ),
    "a lost history": ("DEL h:retrying", Inv.HISTORY, "task retrying"),
}


# Records that no move understands, of a task and of what it is in the store.
DAMAGED: dict[str, tuple[str, str, Invariant]] = {
    "an unknown state": ("HSET t:running st SLEEPING", "running", Inv.STATE),
    "no state": ("HDEL t:failed st", "failed", Inv.STATE),
    "no creation time": ("HDEL t:queued ct", "queued", Inv.FIELDS),
    "a number that is none": ("HSET t:completed ea x at x", "completed", Inv.FIELDS),
    "a line that is none": ("HSET t:waiting ln work", "waiting", Inv.FIELDS),
    "a due time that is none": ("HSET t:retrying du soon", "retrying", Inv.FIELDS),
    "no sequence": ("HDEL t:scheduled sq", "scheduled", Inv.FIELDS),
    "a sequence below zero": ("HSET t:scheduled sq -1", "scheduled", Inv.FIELDS),
    "a number in another notation": ("HSET t:queued up 1e3", "queued", Inv.FIELDS),
    "more attempts than can be": ("HSET t:retrying at 3000000000", "retrying", Inv.FIELDS),
    "an expiry that is none": ("HSET t:failed xp soon", "failed", Inv.FIELDS),
    "a result size that is none": ("HSET t:completed rs -1", "completed", Inv.FIELDS),
    "a running task without a worker": ("HDEL t:running wo", "running", Inv.FIELDS),
    "a started task without a start": ("HDEL t:retrying sa", "retrying", Inv.FIELDS),
    "a string for a record": ("DEL t:running; SET t:running x", "running", Inv.KEY_TYPE),
}
# Where the tasks of populate() are listed, beside the index of their state.
PLACES = {
    "running": {"leases"},
    "failed": {"retention"},
    "completed": {"retention"},
    "queued": {"q:work:default"},
    "waiting": {"q:work:default", "queue_timeouts", "label:team=a", "label:odd==:*"},
    "retrying": {"due"},
    "scheduled": {"due"},
}
SIDE_KEYS = {
    "running": "sgh",
    "failed": "se",
    "completed": "sr",
    "queued": "s",
    "waiting": "s",
    "retrying": "seah",
    "scheduled": "sh",
}


def named(report: Report) -> set[tuple[Invariant, str]]:
    return {(offence.invariant, offence.subject) for offence in report.offences}


async def check(store: TaskStore) -> Report:
    return await check_store(store.redis, store.keys)


@pytest.mark.parametrize(("commands", "invariant", "subject"), MENDABLE.values(), ids=MENDABLE)
async def test_what_follows_from_other_data_is_found_and_mended(
    store: TaskStore, commands: str, invariant: Invariant, subject: str
) -> None:
    await populate(store)
    await damage(store, commands)

    report = await check(store)
    again = await check(store)
    repaired = await repair_store(store.redis, store.keys)

    assert named(report) == {(invariant, subject)}
    assert named(again) == named(report), "a check changes nothing"
    assert [str(offence) for offence in repaired.mended] == [str(o) for o in report.offences]
    assert repaired.report.clean
    assert (await check(store)).clean


@pytest.mark.parametrize(
    ("commands", "invariant", "subject"), NOT_MENDABLE.values(), ids=NOT_MENDABLE
)
async def test_what_would_take_a_guess_is_found_and_left_as_it_is(
    store: TaskStore, commands: str, invariant: Invariant, subject: str
) -> None:
    await populate(store)
    await damage(store, commands)

    report = await check(store)
    repaired = await repair_store(store.redis, store.keys)

    assert named(report) == {(invariant, subject)}
    assert repaired.mended == ()
    assert repaired.report.offences == report.offences


@pytest.mark.parametrize(("commands", "task_id", "invariant"), DAMAGED.values(), ids=DAMAGED)
async def test_a_damaged_record_is_set_apart_with_all_that_belongs_to_it(
    store: TaskStore, commands: str, task_id: str, invariant: Invariant
) -> None:
    await populate(store)
    before = await everything(store)
    await damage(store, commands)

    report = await check(store)
    repaired = await repair_store(store.redis, store.keys)

    record = "key t:" if invariant is Inv.KEY_TYPE else "task "
    subject = f"task {task_id}"
    of_record = {o for o in named(report) if o == (invariant, record + task_id)}
    side = {(Inv.OWNER, f"key {kind}:{task_id}") for kind in SIDE_KEYS[task_id]}
    assert of_record and side <= named(report)
    listed = {
        o.detail for o in report.offences if (o.invariant, o.subject) == (Inv.MEMBER, subject)
    }
    assert len(listed) == len(PLACES[task_id]) + 1
    for place in PLACES[task_id]:
        assert f"is in {place}, but its record is damaged" in listed
    assert repaired.report.clean and repaired.report.set_apart == 1
    assert (await check(store)).clean
    after = await everything(store)
    gone = {f"{kind}:{task_id}" for kind in SIDE_KEYS[task_id] + "t"}
    assert {name for name in after if name.startswith("x:")} == {f"x:{name}" for name in gone}
    for name in gone - {f"t:{task_id}"}:
        assert after[f"x:{name}"] == before[name]
    for name in before.keys() - gone:
        if name[:2] in ("t:", "s:", "r:", "e:", "g:", "a:", "h:"):
            assert after[name] == before[name], "what belongs to others is unharmed"


async def everything(store: TaskStore) -> dict[str, bytes]:
    """Every key, dumped."""
    names = await all_keys(store.redis, store.keys)
    prefix = store.keys.prefix
    return {name: await store.redis.call(b"DUMP", prefix + name.encode()) for name in names}


@pytest.mark.parametrize(("commands", "task_id", "invariant"), DAMAGED.values(), ids=DAMAGED)
async def test_what_is_set_apart_counts_nowhere_and_is_still_told_to_be_damaged(
    store: TaskStore, commands: str, task_id: str, invariant: Invariant
) -> None:
    await populate(store)
    await damage(store, commands)

    await repair_store(store.redis, store.keys)

    page = await store.list(ListQuery(), count=100)
    stats = await store.stats(window=AN_HOUR)
    (queue,) = [q for q in await Directory(store.redis, store.keys).queues(count=9) if not q.paused]
    counted = Counter(task.state for task in page.tasks)
    assert page.total == len(page.tasks) == 8
    assert {s: n for s, n in stats.states["work"].items() if n} == counted
    assert sum(stats.error_types.values()) == counted[TaskState.FAILED]
    assert (queue.queued, queue.running) == (counted[TaskState.QUEUED], counted[TaskState.RUNNING])
    for asking in (store.get, store.cancel, store.retry, store.delete):
        with pytest.raises(TaskDamaged):
            await asking(task_id)
    (refused,) = await store.enqueue([new_task(task_id)])
    assert refused.status is EnqueueStatus.DAMAGED


async def test_what_is_set_apart_goes_by_itself(store: TaskStore) -> None:
    await populate(store)
    await damage(store, "HSET t:retrying st SLEEPING")

    await repair_store(store.redis, store.keys)

    for kind in SIDE_KEYS["retrying"] + "t":
        key = store.keys.prefix + f"x:{kind}:retrying".encode()
        assert 29 * 86_400 < await store.redis.call(b"TTL", key) <= 30 * 86_400


@pytest.mark.parametrize("task_id", ["running", "failed", "completed", "waiting", "retrying"])
async def test_what_is_set_apart_can_be_put_right_by_hand(store: TaskStore, task_id: str) -> None:
    await populate(store)
    whole = await store.get(task_id, full=True)
    await damage(store, f"HSET t:{task_id} st SLEEPING")
    await repair_store(store.redis, store.keys)

    await damage(store, f"HSET x:t:{task_id} st {whole.state}")
    for name in (f"{kind}:{task_id}".encode() for kind in SIDE_KEYS[task_id] + "t"):
        prefix = store.keys.prefix
        await store.redis.call(b"RENAME", prefix + b"x:" + name, prefix + name)
    repaired = await repair_store(store.redis, store.keys)

    assert repaired.report.clean and repaired.report.set_apart == 0
    back = await store.get(task_id, full=True)
    assert replace(back, revision=whole.revision) == whole
    assert task_id in await states(store)


async def test_a_line_of_damaged_tasks_alone_is_forgotten(store: TaskStore) -> None:
    await enqueue(store, new_task("a", queue="elsewhere"), "b")
    await damage(store, "HSET t:a st SLEEPING")

    await repair_store(store.redis, store.keys)

    queues = await Directory(store.redis, store.keys).queues(count=9)
    assert [queue.name for queue in queues] == ["default"]
    assert (await check(store)).clean


def test_every_invariant_has_a_defect_that_offends_it() -> None:
    planted = {invariant for _, invariant, _ in [*MENDABLE.values(), *NOT_MENDABLE.values()]}
    planted |= {invariant for _, _, invariant in DAMAGED.values()}

    assert planted == set(Invariant)


# What shows in several places


async def test_a_lost_record_leaves_nothing_after_a_repair(store: TaskStore) -> None:
    await populate(store)
    await damage(store, "DEL t:failed")

    report = await check(store)
    repaired = await repair_store(store.redis, store.keys)

    assert named(report) == {
        (Inv.OWNER, "key s:failed"),
        (Inv.OWNER, "key e:failed"),
        (Inv.MEMBER, "task failed"),
        (Inv.FAILED_BY, "counter runtime:default"),
    }
    assert repaired.mended_total == 5
    assert repaired.report.clean


async def test_a_task_that_waits_in_the_line_of_others_waits_in_its_own(store: TaskStore) -> None:
    await populate(store)
    await damage(
        store, "ZADD q:work:other 1 queued; ZADD ready 1 work:other; SADD lines work:other"
    )

    report = await check(store)
    repaired = await repair_store(store.redis, store.keys)

    assert named(report) == {(Inv.PLACE, "task queued")}
    assert named(repaired.report) == set()
    assert {(o.invariant, o.subject) for o in repaired.mended} == {
        (Inv.PLACE, "task queued"),
        (Inv.LINES, "line work:other"),
    }


async def test_the_only_task_of_a_line_is_put_back_where_workers_find_it(store: TaskStore) -> None:
    await enqueue(store, "a")
    await damage(store, "DEL q:work:default; DEL ready")

    await repair_store(store.redis, store.keys)

    assert (await claim_one(store)).task_id == "a"


async def test_a_task_without_lease_is_taken_back(store: TaskStore) -> None:
    await populate(store)
    await damage(store, "ZREM leases running")

    await repair_store(store.redis, store.keys)

    (reclaimed,) = await reclaim(store, 1, retry_delay=NO_TIME)
    assert reclaimed.task_id == "running"
