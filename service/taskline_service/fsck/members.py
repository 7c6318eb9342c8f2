"""What is wrong with a member of a line or an index: it must be there because its task says so."""

from collections.abc import Iterator

from taskline_service.fsck.facts import Repair, Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.store.damage import UNREADABLE
from taskline_service.store.keys import label
from taskline_service.store.records import spec_from_blob, to_blob
from taskline_service.task import TaskState

_WAITING_FOR_TIME = frozenset({TaskState.SCHEDULED, TaskState.RETRYING})


def judge_member(seen: Seen) -> Iterator[Offence]:
    """At most one offence: the member is one too many."""
    if not (facts := seen.facts):  # it went while we looked
        return
    key, task_id, _ = seen.subject
    state, line, has_queue_timeout, spec, damaged = facts
    if damaged:  # the record's own check tells
        return
    invariant, why = None, f"but is {shown(state or b'')} on {shown(line or b'')}"
    if state is False:
        invariant, why = Invariant.MEMBER, "but there is no such task"
    elif key == b"queue_timeouts":
        if state != TaskState.QUEUED.encode() or not has_queue_timeout:
            invariant = Invariant.QUEUE_TIMEOUT
    elif key.startswith(b"label:"):
        if not _has_label(key, task_id, line, spec):
            invariant, why = Invariant.LABEL_INDEX, "but has no such label"
    elif key.startswith(b"i:"):
        if key != b"i:" + state + b":" + line:
            invariant = Invariant.STATE_INDEX
    elif key != _place(TaskState(state.decode()), line):
        invariant = Invariant.PLACE
    if invariant is not None:
        take_out = Repair(
            f"take it out of {shown(key)}",
            seen,
            ((b"ZREM", key, task_id),),
            key.removeprefix(b"q:") if key.startswith(b"q:") else None,
        )
        yield Offence(invariant, f"task {shown(task_id)}", f"is in {shown(key)}, {why}", take_out)


def _place(state: TaskState, line: bytes) -> bytes:
    if state is TaskState.QUEUED:
        return b"q:" + line
    if state is TaskState.RUNNING:
        return b"leases"
    return b"due" if state in _WAITING_FOR_TIME else b"retention"


def _has_label(key: bytes, task_id: bytes, line: bytes, spec: bytes) -> bool:
    try:
        labels = spec_from_blob(task_id.decode(), line.decode(), to_blob(spec, b"")).labels
    except UNREADABLE:  # the record's own check tells
        return True
    return key.removeprefix(b"label:") in {label(*pair).encode() for pair in labels.items()}
