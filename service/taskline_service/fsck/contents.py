"""What is wrong with what is stored beside a record: spec, failure, progress, result, attempts."""

from collections.abc import Callable, Iterator
from typing import Any

from taskline_service.fsck.facts import Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.fsck.task_facts import TaskFacts
from taskline_service.store.damage import UNREADABLE
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


def _fault(read: Callable[[], Any]) -> str | None:
    """Why something cannot be read; None if it can."""
    try:
        read()
    except UNREADABLE as error:
        return _unreadable(error)
    return None


def _unreadable(error: Exception) -> str:
    return f"cannot be read: {type(error).__name__}: {shown(str(error))[:80]}"


def read_spec(task: TaskFacts) -> TaskSpec | Offence:
    """What was enqueued, or what is wrong with it."""
    stored = task.spec
    if stored is None:
        return task.offence(Invariant.SPEC, f"{task.state}, but what was enqueued is lost")
    try:
        return spec_from_blob(task.id.decode(), task.line.decode(), to_blob(stored, b""))
    except UNREADABLE as error:
        return task.offence(Invariant.SPEC, f"what was enqueued {_unreadable(error)}")


def judge_spec(task: TaskFacts, state: TaskState, spec: TaskSpec) -> Iterator[Offence]:
    """What the record repeats of it, and the attempts that it allows."""
    if task.number(b"pr") != spec.priority:
        detail = f"priority is {task.number(b'pr')}, but {spec.priority} was enqueued"
        yield task.offence(Invariant.SPEC, detail)
    timeout = None if spec.queue_timeout is None else to_us(spec.queue_timeout)
    if timeout != (task.number(b"qd") if task.has(b"qd") else None):
        yield task.offence(Invariant.SPEC, "has another queue timeout than was enqueued")
    failed, limit = task.number(b"fl"), spec.retry_policy.max_attempts
    if limit != UNLIMITED_ATTEMPTS and (failed > limit or (failed == limit and not state.terminal)):
        detail = f"{state} after {failed} failures, of which {limit} are allowed"
        yield task.offence(Invariant.BUDGETS, detail)


def judge_error(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    """The last failure."""
    told = task.has(b"cr") if state is TaskState.RUNNING else task.has(b"et")
    if told and task.error is None:
        yield task.offence(Invariant.ERROR, f"{state}, but its failure is lost")
    elif not told and task.error is not None:
        yield task.offence(Invariant.ERROR, f"{state}, but has a failure that it does not name")
    elif (error := task.error) is not None and (
        fault := _fault(lambda: error_from_blob(to_blob(error, b"")))
    ):
        yield task.offence(Invariant.ERROR, f"its failure {fault}")


def judge_progress(task: TaskFacts) -> Iterator[Offence]:
    """The latest progress."""
    progress = task.progress
    if progress is None:
        return
    if not task.number(b"at"):
        yield task.offence(Invariant.PROGRESS, "has progress, but was never started")
    if fault := _fault(lambda: progress_from_bytes(progress)):
        yield task.offence(Invariant.PROGRESS, f"its progress {fault}")
    elif progress_sequence(progress) > task.number(b"sq"):
        yield task.offence(Invariant.SEQUENCE, "its progress is of an event that was not yet")


def judge_result(task: TaskFacts, state: TaskState) -> Iterator[Offence]:
    """The result."""
    size = task.result_size
    if state is not TaskState.COMPLETED:
        if size is not None:
            drop = ((b"DEL", b"r:" + task.id), (b"HDEL", b"t:" + task.id, b"rv"))
            yield task.offence(Invariant.RESULT, f"{state}, but has a result", "drop it", *drop)
    elif size is not None and size != task.number(b"rs"):
        detail = f"its result has {size} bytes, and should have {task.number(b'rs')}"
        yield task.offence(Invariant.RESULT, detail)
    elif size is None and task.place_score == task.number(b"re") != task.number(b"xp"):
        yield task.offence(Invariant.RESULT, "COMPLETED, but its result is lost")


def judge_attempts(seen: Seen) -> Iterator[Offence]:
    """Attempts that others followed."""
    if not (facts := seen.facts):
        return
    state, attempts, numbers = facts
    subject = f"task {shown(seen.subject)}"
    if not all(type(number) is int for number in numbers):
        yield Offence(Invariant.ATTEMPTS, subject, "an earlier attempt of it cannot be read")
        return
    latest = int(attempts or 0) - (state == TaskState.RUNNING.encode())
    in_order = all(a < b for a, b in zip([0, *numbers], numbers, strict=False))
    if not in_order or (numbers and numbers[-1] > latest) or len(numbers) > ATTEMPTS_SHOWN:
        detail = (
            f"{shown(state)} with {int(attempts or 0)} attempts, but earlier ones are {numbers}"
        )
        yield Offence(Invariant.ATTEMPTS, subject, detail)
