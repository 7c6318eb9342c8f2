"""What `watch()` yields: one frozen class for each kind of thing that happens to a task."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskline_client.types import Progress, Task, TaskError, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class _Happened:
    """What all events tell."""

    task_id: str
    # Grows with each event of one task; may skip values. 0 in the snapshot with
    # which the watch of a task begins that this client has enqueued.
    sequence: int
    event_time: datetime | None
    # Where a later watch of the same tasks can continue.
    resume_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(_Happened):
    """The whole present state; the first event of each task, and again after a gap."""

    task: Task
    # Log lines and output between the last event and this one were lost.
    gap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(_Happened):
    """The task moved to a state that is not its last."""

    state: TaskState
    attempts: int
    worker: str = ""
    # When the next attempt is due, for SCHEDULED and RETRYING.
    schedule_time: datetime | None = None
    # Why the previous attempt failed, for RETRYING.
    error: TaskError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressReported(_Happened):
    """The task came further. Only the latest report counts; others may be left out."""

    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine(_Happened):
    """The task wrote a line for the people who watch it."""

    message: str
    percentage: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(_Happened):
    """The task emitted a value while it ran."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(_Happened):
    """The task ended; its last event."""

    state: TaskState
    attempts: int
    # Of a task that failed or was cancelled.
    error: TaskError | None = None
    # Only if `has_result`: a large one is left out, and `result()` fetches it.
    result: Any = None
    has_result: bool = False
    result_size: int = 0
    result_expire_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(_Happened):
    """Something that a newer server tells and this client does not know."""


TaskEvent = Snapshot | StateChanged | ProgressReported | LogLine | Output | Ended | UnknownEvent
