"""What goes into the store's moves, and what comes out of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from taskline_service.task import Claim, ErrorType, Task, TaskError, TaskSpec, TaskState


class Conflict(StrEnum):
    """What to do when the id of a new task is taken."""

    REJECT = "reject"
    USE_EXISTING = "use_existing"
    REPLACE_TERMINAL = "replace_terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task to be accepted: now, after `delay`, or at `due_us`."""

    spec: TaskSpec
    delay: timedelta | None = None
    due_us: int | None = None
    on_conflict: Conflict = Conflict.REJECT


class EnqueueStatus(StrEnum):
    """What became of a new task."""

    CREATED = "created"
    REPLACED = "replaced"  # created, in the place of one that had ended
    REPEATED = "repeated"  # this very request made it before
    EXISTING = "existing"  # another request made it
    TAKEN = "taken"  # refused: another request made it
    REUSED = "reused"  # refused: the same request_id, with another content
    FULL = "full"  # refused: its queue has as many waiting tasks as it may
    CROWDED = "crowded"  # refused: too many pairs of a task type and a queue have tasks
    DAMAGED = "damaged"  # refused: what has its id, or a key of its line, is not as we write it

    @property
    def accepted(self) -> bool:
        """Whether there is a task that answers the request."""
        return self not in _REFUSALS


_REFUSALS = frozenset(
    {
        EnqueueStatus.TAKEN,
        EnqueueStatus.REUSED,
        EnqueueStatus.FULL,
        EnqueueStatus.CROWDED,
        EnqueueStatus.DAMAGED,
    }
)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The answer for one new task; `uid` and `state` are those of the task in its way,
    `limit` is that of its queue if it is full, `key` the one that is damaged if it is not its
    own record."""

    status: EnqueueStatus
    # Unset if nothing was written, or if the task is older than this request: then read it.
    task: Task | None = None
    uid: str = ""
    state: TaskState | None = None
    limit: int = 0
    key: str = ""


class Verdict(StrEnum):
    """What the store says to a worker's move."""

    OK = "ok"
    REPEATED = "repeated"  # it had been made before; its answer got lost
    GIVEN_UP = "given up"  # recorded; it was lost too often to be tried again
    LOST = "lost"  # the claim is no longer good
    DAMAGED = "damaged"  # not made: a key that it would write to is of another type than ours
    HELD = "held"
    CANCEL = "cancel"  # held, but the task is to stop


@dataclass(frozen=True, slots=True)
class Completion:
    """A result to be recorded."""

    claim: Claim
    result: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt to be recorded; without a delay the task is not tried again.

    With an error of the type WORKER_LOST it counts as a lost worker, not as a failure.
    """

    claim: Claim
    error: TaskError
    retry_delay: timedelta | None
    # Its code could not be stopped: the next attempt is to run where it can be killed.
    unstoppable: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a task logged for those who watch it; `number` grows within the task."""

    claim: Claim
    number: int
    message: str
    percentage: float | None

    @property
    def size(self) -> int:
        """In bytes, about."""
        return len(self.message)


@dataclass(frozen=True, slots=True)
class Output:
    """A value, as JSON, that a task emitted while it ran; `number` grows within the task."""

    claim: Claim
    number: int
    data: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which tasks to list; None means any. `after` is where the page before ended.

    Instants are in microseconds, `min_` at or after it, `max_` before it. Labels and what follows
    them are looked up task by task.
    """

    states: Sequence[TaskState] | None = None
    task_types: Sequence[str] | None = None
    queues: Sequence[str] | None = None
    newest_first: bool = True
    full: bool = False
    after: tuple[int, str] | None = None
    min_create_us: int | None = None
    max_create_us: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    min_end_us: int | None = None
    max_end_us: int | None = None
    min_attempts: int | None = None
    error_types: Sequence[ErrorType] | None = None
    workers: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list. It may be short or empty, and there still be `more`, behind `after`."""

    tasks: list[Task]
    # None if tasks had to be looked at one by one.
    total: int | None
    more: bool
    # Those of the partitions.
    revisions: tuple[int, ...]
    after: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """A task taken back from a worker that vanished."""

    task_id: str
    task_type: str
    queue: str
    worker: str
    state: TaskState


class Claimed(NamedTuple):
    """What a worker was given."""

    claims: list[Claim]
    # Ids that waited although their record is gone or damaged.
    dangling: list[str]
    # Whether others may wait, of those that were asked for.
    more: bool


@dataclass(frozen=True, slots=True)
class Upkept:
    """What one step of upkeep did, and how long until the next is due, None if nothing waits."""

    count: int
    wait: timedelta | None
    dangling: tuple[str, ...] = ()
    # Type and queue of each task that failed.
    failed: tuple[tuple[str, str], ...] = ()
