"""What is wrong with the fields of a record: each alone, for its state, and together."""

from collections.abc import Iterator
from functools import cache

from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, quoted, shown
from taskline_service.fsck.task_facts import TaskFacts
from taskline_service.store.fields import (
    LINE,
    NEEDED,
    NEEDED_ONCE_STARTED,
    NUMBERS,
    is_started,
    number_of,
)
from taskline_service.task import TaskState

_TEXTS = frozenset(b"st ln no wo et ry rv".split())
_ALWAYS = NEEDED | {b"up"}
_ENDED = frozenset(b"ea xp".split())
_COMPLETED = frozenset(b"rs re".split())

_S = TaskState
_HAVE_STARTED = frozenset({_S.RUNNING, _S.RETRYING, _S.COMPLETED})
# A QUEUED task may have either.
_HAVE_FAILED = frozenset({_S.RETRYING, _S.FAILED, _S.CANCELLED})
_HAVE_NOT_FAILED = frozenset({_S.SCHEDULED, _S.RUNNING, _S.COMPLETED})
_MAY_BE_ASKED_TO_STOP = frozenset({_S.RUNNING, _S.COMPLETED, _S.CANCELLED})


def judge_form(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    """Fields that nobody can understand, so that nothing else can be told of the task."""
    for name in sorted(_ALWAYS - task.fields.keys()):
        yield task.ill_formed(Invariant.FIELDS, f"has no field {shown(name)}")
    if is_started(state, 0 if _fault(b"at", task.fields.get(b"at", b"0")) else task.number(b"at")):
        for name in sorted(NEEDED_ONCE_STARTED - task.fields.keys()):
            detail = f"{state} and started, but has no field {shown(name)}"
            yield task.ill_formed(Invariant.FIELDS, detail)
    for name, value in task.fields.items():
        if why := _fault(name, value):
            field = f"field {shown(name)} is {quoted(value)}"
            yield task.ill_formed(Invariant.FIELDS, f"{field}, {why}")


def _fault(name: bytes, value: bytes) -> str | None:
    """Why nobody can understand a field; None if one can."""
    if name in NUMBERS:
        try:
            number_of(name, value)
        except ValueError:
            return f"which is no number from 0 to {NUMBERS[name] - 1}"
    elif name not in _TEXTS:
        return "which no field of a record is called"
    elif name == b"ln" and not LINE.fullmatch(value):
        return "which is no line"
    return None


@cache
def _expected(state: TaskState, started: bool) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Fields that must be there, and that must not."""
    wanted, unwanted = set[bytes](), set[bytes]()
    (wanted if state.terminal else unwanted).update(_ENDED)
    (wanted if state is _S.COMPLETED else unwanted).update(_COMPLETED)
    if state in _HAVE_FAILED:
        wanted.add(b"et")
    if state in _HAVE_NOT_FAILED:
        unwanted.add(b"et")
    if state is _S.CANCELLED:
        wanted.add(b"cr")
    if state not in _MAY_BE_ASKED_TO_STOP:
        unwanted.add(b"cr")
    if started or state in _HAVE_STARTED:
        wanted |= NEEDED_ONCE_STARTED
    return frozenset(wanted), frozenset(unwanted)


def judge_presence(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    """Fields that the state asks for, or forbids."""
    wanted, unwanted = _expected(state, task.number(b"at") > 0)
    for name in sorted(wanted - task.fields.keys()):
        yield task.offence(Invariant.FIELDS, f"{state}, but has no field {shown(name)}")
    for name in sorted(unwanted & task.fields.keys()):
        yield task.offence(Invariant.FIELDS, f"{state}, but has a field {shown(name)}")
    if state is _S.RUNNING:
        for name in (b"no", b"wo"):
            if task.has(name) and not task.fields[name]:
                yield task.offence(Invariant.FIELDS, f"RUNNING, but field {shown(name)} is empty")


def judge_budgets(task: TaskFacts, state: TaskState, max_lost: int) -> Iterator[Offence]:
    """Attempts, failures and losses."""
    attempts, failed, lost = (task.number(name) for name in (b"at", b"fl", b"lo"))
    others = state in (_S.RUNNING, _S.COMPLETED)  # one attempt more, neither failed nor lost
    if attempts < failed + lost + others:
        detail = f"{state} after {attempts} attempts, {failed} failures and {lost} losses"
        yield task.offence(Invariant.BUDGETS, detail)
    if state is _S.RETRYING and not failed + lost:
        yield task.offence(Invariant.BUDGETS, "RETRYING, but it never failed")
    if lost > max_lost or (lost == max_lost and not state.terminal):
        detail = f"{state} after {lost} losses, of which {max_lost} are allowed"
        yield task.offence(Invariant.BUDGETS, detail)


def judge_sequences(task: TaskFacts) -> Iterator[Offence]:
    """The numbers of its events."""
    sequence, recorded = task.number(b"sq"), task.number(b"hs")
    if not sequence:
        yield task.offence(Invariant.SEQUENCE, "has sequence 0, as if nothing had made it")
    for name in (b"ss", b"hs"):
        if task.number(name) > sequence:
            detail = f"field {shown(name)} is {task.number(name)}, beyond its sequence {sequence}"
            yield task.offence(Invariant.SEQUENCE, detail)
    last = task.last_recorded
    if last > sequence:
        detail = f"its history goes up to {last}, beyond its sequence {sequence}"
        yield task.offence(Invariant.SEQUENCE, detail)
    elif last != recorded:
        detail = f"its history goes up to {last}, and should up to {recorded}"
        yield task.offence(Invariant.HISTORY, detail)
