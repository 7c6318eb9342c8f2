"""What a task is: its states, its parts, and the moves that are allowed.

Pure values, no I/O. Instants are whole microseconds since the Unix epoch by the
store's clock, in names that end in `_us`; spans are timedeltas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
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

    @property
    def terminal(self) -> bool:
        """Whether a task in this state has ended."""
        return self in TERMINAL_STATES


TERMINAL_STATES = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})

# Every move there is. The scripts get this very table and refuse any other move.
EDGES: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.SCHEDULED: frozenset({TaskState.QUEUED, TaskState.CANCELLED}),
    TaskState.QUEUED: frozenset({TaskState.RUNNING, TaskState.FAILED, TaskState.CANCELLED}),
    TaskState.RUNNING: frozenset(
        {
            TaskState.QUEUED,  # released by a worker that shuts down
            TaskState.RETRYING,
            TaskState.COMPLETED,
            TaskState.FAILED,
            TaskState.CANCELLED,
        }
    ),
    TaskState.RETRYING: frozenset({TaskState.QUEUED, TaskState.CANCELLED}),
    # Out of a terminal state only by RetryTask.
    TaskState.COMPLETED: frozenset({TaskState.QUEUED}),
    TaskState.FAILED: frozenset({TaskState.QUEUED}),
    TaskState.CANCELLED: frozenset({TaskState.QUEUED}),
}


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


UNLIMITED_ATTEMPTS = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often failed attempts are repeated."""

    max_attempts: int = 3
    initial_backoff: timedelta = timedelta(seconds=1)
    max_backoff: timedelta = timedelta(minutes=5)
    backoff_multiplier: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """Why a task, or one attempt, failed."""

    error_type: ErrorType
    message: str
    exception_class: str = ""
    traceback: str = ""
    retry_count: int = 0
    is_retryable: bool = False
    error_us: int = 0
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running task has come."""

    current: float = 0.0
    total: float | None = None
    message: str = ""
    update_us: int = 0
    details: Mapping[str, Any] | None = None

    @property
    def percentage(self) -> float:
        """100 * current / total with two decimals, 0 while the total is unknown."""
        return round(100 * self.current / self.total, 2) if self.total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """What was enqueued. Never changes."""

    id: str
    uid: str
    task_type: str
    queue: str
    priority: int = 0
    input: bytes = b"{}"
    labels: Mapping[str, str] = field(default_factory=dict)
    retry_policy: RetryPolicy = RetryPolicy()
    execution_timeout: timedelta | None = None
    queue_timeout: timedelta | None = None
    result_ttl: timedelta | None = None
    # How far ahead of its creation it was first due, as the request had it.
    scheduled_ahead: timedelta = timedelta(0)
    # What propagates a trace: `traceparent`, `tracestate`. Opaque here.
    trace: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    # Of everything that the request asked for; tells a repeat from a reuse.
    digest: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a task."""

    number: int
    worker: str
    start_us: int
    end_us: int = 0
    error: TaskError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is known about a task at one instant."""

    spec: TaskSpec
    state: TaskState
    # How often anything happened to it; grows.
    sequence: int
    # Of the store, when this was read: where a watch can continue.
    revision: int
    attempts: int = 0
    worker: str = ""
    create_us: int = 0
    schedule_us: int = 0
    start_us: int = 0
    end_us: int = 0
    update_us: int = 0
    cancel_request_us: int = 0
    result_expire_us: int = 0
    expire_us: int = 0
    progress: Progress | None = None
    error: TaskError | None = None
    input_size: int = 0
    result_size: int = 0
    # Its result, if that is so short that it is kept with the rest, for as long as results are.
    short_result: bytes | None = field(default=None, repr=False)
    attempt_history: tuple[Attempt, ...] = ()

    @property
    def id(self) -> str:
        """Its id."""
        return self.spec.id


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claim:
    """The right to execute one attempt, good while its lease is renewed. Equal only to itself."""

    spec: TaskSpec
    attempt: int
    # Failed attempts so far; those cut off by a shutdown or a lost worker do not count.
    failures: int
    nonce: bytes
    create_us: int
    schedule_us: int
    start_us: int
    # How often the worker vanished that had it.
    losses: int = 0
    # Whether its code could not be stopped once.
    unstoppable: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is to run with nothing beside it, so that it can harm nothing else."""
        return self.losses > 0 or self.unstoppable

    @property
    def task_id(self) -> str:
        """Id of the task."""
        return self.spec.id
