"""What is wrong with where a task is listed: each list that it must be in, by the right score."""

from collections.abc import Iterator

from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.fsck.task_facts import TaskFacts
from taskline_service.store.keys import label
from taskline_service.task import TaskSpec, TaskState

PRIORITY_US = 60_000_000

_S = TaskState


def judge_place(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    """Its line, its due time, its lease or its retention."""
    there = task.place_score is not None
    if state is _S.RUNNING:
        if not there:
            mend = (b"ZADD", b"leases", b"0", task.id)
            yield task.offence(
                Invariant.PLACE, "RUNNING, but without a lease", "let its lease be over", mend
            )
        return
    if state is _S.QUEUED:
        place, score = b"q:" + task.line, task.number(b"du") - task.number(b"pr") * PRIORITY_US
    elif state.terminal:
        place = b"retention"
        has_result = state is _S.COMPLETED and task.result_size is not None
        score = task.number(b"re" if has_result else b"xp")
        if not task.has(b"xp"):
            return
    else:
        place, score = b"due", task.number(b"du")
    if there and task.place_score == score:
        return
    lost_result = state is _S.COMPLETED and task.result_size is None
    if there and lost_result and task.place_score == task.number(b"re"):
        return
    found = f"in {shown(place)} by {task.place_score:.0f}" if there else f"not in {shown(place)}"
    line = task.line if state is _S.QUEUED else None
    yield task.offence(
        Invariant.PLACE,
        f"{state}, but {found}",
        f"put it into {shown(place)} by {score}",
        (b"ZADD", place, str(score), task.id),
        line=line,
    )


def judge_queue_timeout(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    """When it must have been started."""
    if state is not _S.QUEUED or not task.has(b"qd"):
        return
    least = task.number(b"du") + task.number(b"qd")
    # Later than that if a worker gave it back.
    if task.timeout_score is None or task.timeout_score < least:
        yield task.offence(
            Invariant.QUEUE_TIMEOUT,
            "QUEUED with a queue timeout, but not in queue_timeouts by its end",
            "put it there",
            (b"ZADD", b"queue_timeouts", str(least), task.id),
        )


def judge_state_index(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    """The index of its state and line."""
    create = task.number(b"ct")
    if task.index_score != create:
        index = b"i:" + state.encode() + b":" + task.line
        yield task.offence(
            Invariant.STATE_INDEX,
            f"is not in {shown(index)} by its creation time",
            "put it there",
            (b"ZADD", index, str(create), task.id),
        )


def judge_label_indexes(task: TaskFacts, spec: TaskSpec) -> Iterator[Offence]:
    """The indexes of its labels."""
    create = task.number(b"ct")
    if bool(spec.labels) != task.has(b"lb"):
        flag = (b"HSET", task.key, b"lb", b"1") if spec.labels else (b"HDEL", task.key, b"lb")
        detail = "has labels, but does not say so" if spec.labels else "says that it has labels"
        yield task.offence(Invariant.LABEL_INDEX, detail, "mend that", flag)
        return
    for name in (label(*pair).encode() for pair in spec.labels.items()):
        if task.labels.get(name) != create:
            index = b"label:" + name
            yield task.offence(
                Invariant.LABEL_INDEX,
                f"is not in the index of {shown(name)} by its creation time",
                f"put it into {shown(index)}",
                (b"ZADD", index, str(create), task.id),
            )
