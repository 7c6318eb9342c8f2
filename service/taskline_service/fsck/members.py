"""What is wrong with a member of a line or an index: it must be there because its task says so."""

from collections.abc import Iterator

from taskline_service.fsck.facts import Repair, Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown

_WHY = {b"absent": "there is no such task", b"damaged": "its record is damaged"}


def judge_member(seen: Seen) -> Iterator[Offence]:
    """At most one offence: the member is one too many."""
    facts = seen.facts
    if not facts or facts == b"right":  # or it went while we looked
        return
    key, task_id = seen.subject
    if isinstance(facts, bytes):
        invariant, why = Invariant.MEMBER, _WHY[facts]
    else:
        state, line = facts
        invariant, why = _invariant(key), f"is {shown(state)} on {shown(line)}"
    take_out = Repair(
        f"take it out of {shown(key)}",
        seen,
        ((b"ZREM", key, task_id),),
        key.removeprefix(b"q:") if key.startswith(b"q:") else None,
    )
    yield Offence(invariant, f"task {shown(task_id)}", f"is in {shown(key)}, but {why}", take_out)


def _invariant(key: bytes) -> Invariant:
    if key == b"queue_timeouts":
        return Invariant.QUEUE_TIMEOUT
    if key.startswith(b"label:"):
        return Invariant.LABEL_INDEX
    return Invariant.STATE_INDEX if key.startswith(b"i:") else Invariant.PLACE
