"""What callers ask for: how to enqueue, what to enqueue in bulk, which tasks to list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, Final, Literal

from taskline_client.types import RetryPolicy, TaskState


class _NoInput(Enum):
    """Tells "no input" from the input None, which is JSON null."""

    NO_INPUT = "NO_INPUT"

    def __repr__(self) -> str:
        return self.value


NoInput = Literal[_NoInput.NO_INPUT]
NO_INPUT: Final = _NoInput.NO_INPUT


class ConflictPolicy(StrEnum):
    """What enqueue does when `task_id` is already taken by another request."""

    # Fail with TaskAlreadyExists.
    REJECT = "REJECT"
    # Return the existing task, whatever its state.
    USE_EXISTING = "USE_EXISTING"
    # Return the existing task while it has not ended; replace it once it has.
    REPLACE_TERMINAL = "REPLACE_TERMINAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """Everything about a task but its type and input.

    None, or empty, means: as the task type or the deployment has it.
    """

    # 1 to 128 characters of [A-Za-z0-9._:-].
    task_id: str | None = None
    # Makes repeating safe. Pass your own to span process restarts; otherwise
    # each call has a new one, the same over the retries within it.
    request_id: str | None = None
    conflict_policy: ConflictPolicy = ConflictPolicy.REJECT
    queue: str | None = None
    # 0 (lowest) to 9.
    priority: int = 0
    # Not before this instant (aware), or not before this long from now; not both.
    schedule_time: datetime | None = None
    delay: timedelta | None = None
    # Fail if no worker starts it this long after it was due.
    queue_timeout: timedelta | None = None
    # Longest time for one attempt.
    execution_timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None
    # How long the result is kept after the end.
    result_ttl: timedelta | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schedule_time is not None and self.delay is not None:
            raise ValueError("schedule_time and delay: only one of the two can be set")
        if self.schedule_time is not None and self.schedule_time.tzinfo is None:
            raise ValueError("schedule_time must be an aware datetime")


@dataclass(frozen=True, slots=True)
class EnqueueRequest:
    """One of the tasks of `enqueue_many`."""

    task_type: str
    input: Any = NO_INPUT
    options: EnqueueOptions = EnqueueOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Selects tasks: all conditions that are set must hold.

    Of one condition's several values any may match, of `labels` all must.
    """

    queues: Sequence[str] = ()
    task_types: Sequence[str] = ()
    states: Sequence[TaskState] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    min_create_time: datetime | None = None
    # Exclusive.
    max_create_time: datetime | None = None
    min_end_time: datetime | None = None
    # Exclusive.
    max_end_time: datetime | None = None
    workers: Sequence[str] = ()
