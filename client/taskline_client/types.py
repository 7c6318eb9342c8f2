"""A task and its parts, as plain frozen values; no protobuf.

Instants are aware datetimes in UTC, spans are timedeltas. None means: not (yet)
the case. A value that a newer server knows and this client does not reads as
UNKNOWN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class TaskState(StrEnum):
    """Where a task is in its life."""

    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"

    @property
    def terminal(self) -> bool:
        """Whether a task in this state has ended."""
        return self in (TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED)


class ErrorType(StrEnum):
    """What kind of failure it was."""

    RUNTIME = "runtime"
    TIMEOUT = "timeout"
    SERIALIZATION = "serialization"
    STORAGE = "storage"
    WORKER_LOST = "worker_lost"
    QUEUE_TIMEOUT = "queue_timeout"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """Why a task, or one attempt, failed."""

    error_type: ErrorType
    message: str
    # Qualified, in the task's language: "builtins.ValueError".
    exception_class: str = ""
    traceback: str = ""
    retry_count: int = 0
    is_retryable: bool = False
    error_time: datetime | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running task has come, as it reported itself."""

    current: float = 0.0
    # Unknown if None.
    total: float | None = None
    # 0 to 100; 0 while the total is unknown.
    percentage: float = 0.0
    message: str = ""
    update_time: datetime | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often failed attempts are repeated.

    A field that is None takes the value of the task type.
    """

    # In total, including the first; -1 for no limit.
    max_attempts: int | None = None
    initial_backoff: timedelta | None = None
    max_backoff: timedelta | None = None
    backoff_multiplier: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a task."""

    number: int
    worker: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    error: TaskError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What was known about a task when the server answered."""

    id: str
    uid: str
    task_type: str
    queue: str
    state: TaskState
    # Started so far.
    attempts: int = 0
    # That may fail before the task does; -1 for no limit.
    max_attempts: int = 0
    priority: int = 0
    create_time: datetime | None = None
    schedule_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    update_time: datetime | None = None
    # Set while RUNNING: cancellation is under way.
    cancel_request_time: datetime | None = None
    result_expire_time: datetime | None = None
    expire_time: datetime | None = None
    progress: Progress | None = None
    worker: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    # Of the last attempt, also while RETRYING.
    error: TaskError | None = None
    # 32 hex digits, or empty.
    trace_id: str = ""
    resume_token: str = ""
    # Bytes, as stored.
    input_size: int = 0
    result_size: int = 0
    execution_timeout: timedelta | None = None
    queue_timeout: timedelta | None = None
    # The rest comes with `get()` only, not with lists and events.
    input: Any = None
    attempt_history: tuple[Attempt, ...] = ()
    retry_policy: RetryPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """One page of tasks."""

    tasks: tuple[Task, ...]
    # Empty on the last page. A page may be short, or empty, and not be the last.
    next_page_token: str
    # None if counting would need a scan.
    total_size: int | None
    # Where a watch goes on from what this list shows; on the first page only.
    resume_token: str
