"""What is wrong with a task, judged by the facts about it alone."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from taskline_service.fsck.facts import Repair, Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.store.damage import UNREADABLE
from taskline_service.store.keys import label
from taskline_service.store.records import (
    ATTEMPTS_SHOWN,
    error_from_blob,
    progress_from_bytes,
    progress_sequence,
    spec_from_blob,
    to_blob,
    to_us,
)
from taskline_service.task import UNLIMITED_ATTEMPTS, TaskSpec, TaskState

PRIORITY_US = 60_000_000

_NUMBER = re.compile(rb"[0-9]{1,16}")
_LINE = re.compile(rb"[^:]+:.+", re.DOTALL)
_NUMBERS = frozenset(
    (b"ct du pr qd at fl lo sa ea up sq ss cr rs re xp hs lg hb lb").split(),
)
_TEXTS = frozenset(b"st ln no wo et ry".split())
_ALWAYS = frozenset(b"st ln ct du sq up".split())
_STARTED = frozenset(b"at no wo sa ss".split())

_S = TaskState
_MUST_HAVE_STARTED = frozenset({_S.RUNNING, _S.RETRYING, _S.COMPLETED})
_WITH_ERROR = frozenset({_S.RETRYING, _S.FAILED, _S.CANCELLED})
# A QUEUED task keeps the failure that it is tried again after.
_WITHOUT_ERROR = frozenset({_S.SCHEDULED, _S.RUNNING, _S.COMPLETED})
_MAY_BE_CANCELLED = frozenset({_S.RUNNING, _S.COMPLETED, _S.CANCELLED})


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What lua/_facts.lua tells of a task; None stands for what there is not."""

    seen: Seen
    fields: dict[bytes, bytes]
    spec: bytes | None
    error: bytes | None
    progress: bytes | None
    # The numbers of those that others followed, None for one that cannot be read.
    attempts: list[int | None]
    result_size: int | None
    # The sequence of the last event in its history, 0 without one.
    last_recorded: int
    place_score: float | None
    index_score: float | None
    timeout_score: float | None
    # The score of each label in its index.
    labels: dict[bytes, float | None]

    @classmethod
    def of(cls, seen: Seen) -> "TaskFacts | None":
        """None if there is no such task."""
        if not seen.facts:
            return None
        fields, spec, error, progress, attempts, result, last, place, index, timeout, labels = (
            _or_none(fact) for fact in seen.facts
        )
        pairs = iter(fields)
        return cls(
            seen,
            dict(zip(pairs, pairs, strict=True)),
            spec,
            error,
            progress,
            [_or_none(number) for number in attempts],
            result,
            int((last or b"0").partition(b"-")[0]),
            _score(place),
            _score(index),
            _score(timeout),
            {name: _score(_or_none(score)) for name, score in labels},
        )

    @property
    def id(self) -> bytes:
        """Its id."""
        return bytes(self.seen.subject)

    @property
    def state(self) -> TaskState:
        """Its state, which must be one that there is."""
        return TaskState(self.fields[b"st"].decode())

    @property
    def line(self) -> bytes:
        """Its task type and queue."""
        return self.fields[b"ln"]

    def has(self, name: bytes) -> bool:
        """Whether the record has a field."""
        return name in self.fields

    def number(self, name: bytes) -> int:
        """A field, 0 if there is none."""
        return int(self.fields.get(name, 0))

    @property
    def key(self) -> bytes:
        """Of its record."""
        return b"t:" + self.id

    def offence(
        self,
        invariant: Invariant,
        detail: str,
        repair: str | None = None,
        *commands: tuple[bytes | str, ...],
        line: bytes | None = None,
    ) -> Offence:
        """An offence of this task; the commands mend it."""
        mend = Repair(repair, self.seen, commands, line) if repair else None
        return Offence(invariant, f"task {shown(self.id)}", detail, mend)


def _or_none(fact: Any) -> Any:
    return None if fact is False else fact


def _score(text: bytes | None) -> float | None:
    return None if text is None else float(text)


def judge_task(task: TaskFacts, *, max_lost: int) -> Iterator[Offence]:
    """Every offence of a task; one that cannot be understood is judged no further."""
    try:
        state = task.state
    except (KeyError, ValueError):
        detail = f"is in state {shown(task.fields.get(b'st', b''))!r}, which there is not"
        yield task.offence(Invariant.STATE, detail)
        return
    wrong = [*_form(task)]
    yield from wrong
    if wrong:
        return
    yield from _presence(task, state)
    yield from _error(task, state)
    yield from _progress(task)
    yield from _attempts(task, state)
    yield from _result(task, state)
    yield from _sequences(task)
    yield from _budgets(task, state, max_lost)
    yield from _place(task, state)
    yield from _queue_timeout(task, state)
    yield from _state_index(task, state)
    yield from _spec(task, state)


def _form(task: TaskFacts) -> Iterator[Offence]:
    for name in sorted(_ALWAYS - task.fields.keys()):
        yield task.offence(Invariant.FIELDS, f"has no field {shown(name)}")
    for name, value in task.fields.items():
        text = f"field {shown(name)} is {shown(value)[:40]!r}"
        if name in _NUMBERS:
            if not _NUMBER.fullmatch(value):
                yield task.offence(Invariant.FIELDS, f"{text}, which is no number")
        elif name not in _TEXTS:
            yield task.offence(Invariant.FIELDS, f"{text}, which no field of a record is called")
    if task.has(b"ln") and not _LINE.fullmatch(task.line):
        yield task.offence(Invariant.FIELDS, f"field ln is {shown(task.line)!r}, which is no line")


def _presence(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    """Fields that must be there, and that must not."""
    wanted, unwanted = set[bytes](), set[bytes]()

    def expect(condition: bool, *names: bytes) -> None:
        (wanted if condition else unwanted).update(names)

    expect(state.terminal, b"ea", b"xp")
    expect(state is _S.COMPLETED, b"rs", b"re")
    if state in _WITH_ERROR or state in _WITHOUT_ERROR:
        expect(state in _WITH_ERROR, b"et")
    if state is _S.CANCELLED or state not in _MAY_BE_CANCELLED:
        expect(state is _S.CANCELLED, b"cr")
    if state in _MUST_HAVE_STARTED or task.number(b"at"):
        expect(True, *_STARTED)
    for name in sorted(wanted - task.fields.keys()):
        yield task.offence(Invariant.FIELDS, f"{state}, but has no field {shown(name)}")
    for name in sorted(unwanted & task.fields.keys()):
        yield task.offence(Invariant.FIELDS, f"{state}, but has a field {shown(name)}")
    if state is _S.RUNNING:
        for name in (b"no", b"wo"):
            if task.has(name) and not task.fields[name]:
                yield task.offence(Invariant.FIELDS, f"RUNNING, but field {shown(name)} is empty")


def _fault(read: Callable[[], Any]) -> str | None:
    """Why something cannot be read; None if it can."""
    try:
        read()
    except UNREADABLE as error:
        return f"cannot be read: {type(error).__name__}: {shown(str(error))[:80]}"
    return None


def _spec(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    stored = task.spec
    if stored is None:
        yield task.offence(Invariant.SPEC, f"{state}, but what was enqueued is lost")
        return
    specs = list[TaskSpec]()

    def read() -> None:
        specs.append(spec_from_blob(task.id.decode(), task.line.decode(), to_blob(stored, b"")))

    if fault := _fault(read):
        yield task.offence(Invariant.SPEC, f"what was enqueued {fault}")
        return
    (spec,) = specs
    if task.number(b"pr") != spec.priority:
        detail = f"priority is {task.number(b'pr')}, but {spec.priority} was enqueued"
        yield task.offence(Invariant.SPEC, detail)
    timeout = None if spec.queue_timeout is None else to_us(spec.queue_timeout)
    if timeout != (task.number(b"qd") if task.has(b"qd") else None):
        yield task.offence(Invariant.SPEC, "has another queue timeout than was enqueued")
    yield from _budget_of_failures(task, state, spec)
    yield from _label_indexes(task, spec)


def _label_indexes(task: TaskFacts, spec: TaskSpec) -> Iterator[Offence]:
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


def _error(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    told = task.has(b"cr") if state is _S.RUNNING else task.has(b"et")
    if told and task.error is None:
        yield task.offence(Invariant.ERROR, f"{state}, but its failure is lost")
    elif not told and task.error is not None:
        yield task.offence(Invariant.ERROR, f"{state}, but has a failure that it does not name")
    elif (error := task.error) is not None and (
        fault := _fault(lambda: error_from_blob(to_blob(error, b"")))
    ):
        yield task.offence(Invariant.ERROR, f"its failure {fault}")


def _progress(task: TaskFacts) -> Iterator[Offence]:
    progress = task.progress
    if progress is None:
        return
    if not task.number(b"at"):
        yield task.offence(Invariant.PROGRESS, "has progress, but was never started")
    if fault := _fault(lambda: progress_from_bytes(progress)):
        yield task.offence(Invariant.PROGRESS, f"its progress {fault}")
    elif progress_sequence(progress) > task.number(b"sq"):
        yield task.offence(Invariant.SEQUENCE, "its progress is of an event that was not yet")


def _attempts(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    numbers = [number for number in task.attempts if type(number) is int]
    if len(numbers) < len(task.attempts):
        yield task.offence(Invariant.ATTEMPTS, "an earlier attempt of it cannot be read")
        return
    latest = task.number(b"at") - (state is _S.RUNNING)
    in_order = all(a < b for a, b in zip([0, *numbers], numbers, strict=False))
    if not in_order or (numbers and numbers[-1] > latest) or len(numbers) > ATTEMPTS_SHOWN:
        detail = f"{state} with {task.number(b'at')} attempts, but earlier ones are {numbers}"
        yield task.offence(Invariant.ATTEMPTS, detail)


def _result(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    size = task.result_size
    if state is not _S.COMPLETED:
        if size is not None:
            drop = (b"DEL", b"r:" + task.id)
            yield task.offence(Invariant.RESULT, f"{state}, but has a result", "drop it", drop)
    elif size is not None and size != task.number(b"rs"):
        detail = f"its result has {size} bytes, and should have {task.number(b'rs')}"
        yield task.offence(Invariant.RESULT, detail)
    elif size is None and task.place_score == task.number(b"re") != task.number(b"xp"):
        yield task.offence(Invariant.RESULT, "COMPLETED, but its result is lost")


def _sequences(task: TaskFacts) -> Iterator[Offence]:
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


def _budgets(task: TaskFacts, state: TaskState, max_lost: int) -> Iterator[Offence]:
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


def _budget_of_failures(task: TaskFacts, state: TaskState, spec: TaskSpec) -> Iterator[Offence]:
    failed, limit = task.number(b"fl"), spec.retry_policy.max_attempts
    if limit == UNLIMITED_ATTEMPTS:
        return
    if failed > limit or (failed == limit and not state.terminal):
        detail = f"{state} after {failed} failures, of which {limit} are allowed"
        yield task.offence(Invariant.BUDGETS, detail)


def _place(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
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


def _queue_timeout(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
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


def _state_index(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    create = task.number(b"ct")
    if task.index_score != create:
        index = b"i:" + state.encode() + b":" + task.line
        yield task.offence(
            Invariant.STATE_INDEX,
            f"is not in {shown(index)} by its creation time",
            "put it there",
            (b"ZADD", index, str(create), task.id),
        )
