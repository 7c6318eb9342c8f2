"""Everything that can be wrong with a request, as exceptions that say what is true.

    TasklineError
    ├── InvalidInput            fields that are wrong
    │   └── PayloadTooLarge
    ├── PageTokenInvalid
    ├── ResumeTokenInvalid
    ├── ResumeTokenExpired
    ├── RequestIdReused
    ├── TaskNotFound
    ├── TaskTypeNotFound
    ├── TaskDamaged
    ├── TaskAlreadyExists
    ├── TaskNotTerminal
    ├── TaskNotCompleted
    ├── ResultExpired
    ├── QueueFull
    ├── StoreUnavailable
    ├── StoreDamaged
    ├── StoreFull
    │   └── TooManyQueues
    ├── TooManyWatches
    └── ServerDraining

`reason` is the ErrorInfo.reason of the contract. The gRPC code of each is decided
in rpc/status.py, nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class TasklineError(Exception):
    """Something that a caller can be told, with a stable reason."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field; `field` is its path, as in "input.width"."""

    field: str
    description: str


class InvalidInput(TasklineError):
    """Fields of the request are wrong; every one of them is named."""

    reason = "INVALID_INPUT"

    def __init__(self, violations: Sequence[FieldViolation], **metadata: str) -> None:
        text = "; ".join(f"{v.field}: {v.description}" for v in violations)
        super().__init__(text, **metadata)
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidInput":
        """For the usual case of one wrong field."""
        return cls([FieldViolation(field, description)])


class PayloadTooLarge(InvalidInput):
    """A payload is over its limit."""

    reason = "PAYLOAD_TOO_LARGE"


class PageTokenInvalid(TasklineError):
    """The page token is not one of ours, or belongs to another list."""

    reason = "PAGE_TOKEN_INVALID"


class ResumeTokenInvalid(TasklineError):
    """The resume token is not one of ours, or belongs to another watch."""

    reason = "RESUME_TOKEN_INVALID"


class ResumeTokenExpired(TasklineError):
    """The events since the resume token are no longer kept."""

    reason = "RESUME_TOKEN_EXPIRED"


class RequestIdReused(TasklineError):
    """The request_id belongs to a request with another content."""

    reason = "REQUEST_ID_REUSED"


class TaskNotFound(TasklineError):
    """No such task: it never existed, or its record has been dropped."""

    reason = "TASK_NOT_FOUND"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {task_id!r} not found", task_id=task_id)
        self.task_id = task_id


class TaskDamaged(TasklineError):
    """The record of the task, or a key that it is in, is not as Taskline writes them."""

    reason = "TASK_DAMAGED"

    def __init__(self, task_id: str, *, key: str = "") -> None:
        if key:
            message = f"task {task_id!r} is held up by a damaged key, {key!r}"
            super().__init__(
                f"{message}; `taskline fsck --repair` mends it", task_id=task_id, key=key
            )
        else:
            super().__init__(f"the record of task {task_id!r} is damaged", task_id=task_id)
        self.task_id = task_id


class TaskTypeNotFound(TasklineError):
    """Nobody has registered this task type."""

    reason = "TASK_TYPE_NOT_FOUND"


class TaskAlreadyExists(TasklineError):
    """The task_id is taken."""

    reason = "TASK_ALREADY_EXISTS"


class TaskNotTerminal(TasklineError):
    """The task has not ended."""

    reason = "TASK_NOT_TERMINAL"


class TaskNotCompleted(TasklineError):
    """The task has no result: it has not ended, or not with one."""

    reason = "TASK_NOT_COMPLETED"


class ResultExpired(TasklineError):
    """The task completed, and its result is no longer kept."""

    reason = "RESULT_EXPIRED"


class QueueFull(TasklineError):
    """The queue holds as many waiting tasks as it may."""

    reason = "QUEUE_FULL"


class StoreUnavailable(TasklineError):
    """The store cannot be reached or does not answer. Safe to try again."""

    reason = "STORE_UNAVAILABLE"


class StoreDamaged(TasklineError):
    """A key of the store is not as Taskline writes it."""

    reason = "TASK_DAMAGED"

    def __init__(self, key: str) -> None:
        """`key` is "" if it is not known which."""
        if key:
            message = f"key {key!r} of the store is damaged; `taskline fsck --repair` mends it"
            super().__init__(message, key=key)
        else:
            super().__init__("a key of the store is damaged; `taskline fsck` names it")
        self.key = key


class StoreFull(TasklineError):
    """The store is out of memory; nothing was written."""

    reason = "STORE_FULL"


class TooManyQueues(StoreFull):
    """As many queues are in use as may be; nothing was written."""


class TooManyWatches(TasklineError):
    """The server follows as many watches as it may."""

    reason = "TOO_MANY_WATCHES"


class ServerDraining(TasklineError):
    """The server is shutting down; another one, or this one later, will answer."""

    reason = "SERVER_DRAINING"
