"""What is wrong with a member of a line or an index: it must be there because its task says so."""

from collections.abc import Iterator

from taskline_service.fsck.facts import Repair, Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.store.keys import label
from taskline_service.store.records import spec_from_blob, to_blob
from taskline_service.task import TaskState

_WAITING_FOR_TIME = frozenset({TaskState.SCHEDULED, TaskState.RETRYING})


def judge_member(seen: Seen) -> Iterator[Offence]:
    """At most one offence: the member is one too many."""
    if not (facts := seen.facts):  # it went while we looked
        return
    key, task_id, _ = seen.subject
    state, line, queue_timeout, spec = facts
    invariant = None
    if state is False:
        invariant, why = Invariant.MEMBER, "but there is no such task"
    elif (known := _state(state)) is not None and line is not False:
        why = f"but is {known} on {shown(line)}"
        if key == b"queue_timeouts":
            if known is not TaskState.QUEUED or queue_timeout is False:
                invariant = Invariant.QUEUE_TIMEOUT
        elif key.startswith(b"label:"):
            invariant, why = _judge_label(key, task_id, line, spec)
        elif key.startswith(b"i:"):
            if key != b"i:" + state + b":" + line:
                invariant = Invariant.STATE_INDEX
        elif key != _place(known, line):
            invariant = Invariant.PLACE
    if invariant is not None:
        take_out = Repair(
            f"take it out of {shown(key)}",
            seen,
            ((b"ZREM", key, task_id),),
            key.removeprefix(b"q:") if key.startswith(b"q:") else None,
        )
        yield Offence(invariant, f"task {shown(task_id)}", f"is in {shown(key)}, {why}", take_out)


def _state(text: bytes) -> TaskState | None:
    try:
        return TaskState(text.decode())
    except ValueError:
        return None


def _place(state: TaskState, line: bytes) -> bytes:
    if state is TaskState.QUEUED:
        return b"q:" + line
    if state is TaskState.RUNNING:
        return b"leases"
    return b"due" if state in _WAITING_FOR_TIME else b"retention"


def _judge_label(
    key: bytes, task_id: bytes, line: bytes, spec: bytes
) -> tuple[Invariant | None, str]:
    try:
        labels = spec_from_blob(task_id.decode(), line.decode(), to_blob(spec, b"")).labels
    except Exception:  # the record's own check tells that it cannot be read
        return None, ""
    if key.removeprefix(b"label:") in {label(*pair).encode() for pair in labels.items()}:
        return None, ""
    return Invariant.LABEL_INDEX, "but has no such label"
