"""Everything that can go wrong for a caller, as exceptions that say what is true.

    TasklineError
    ├── TaskFailed              the task ended with an error, see .error
    ├── TaskCancelled           the task was stopped on request
    ├── TaskTimeout             not ended in time (also a TimeoutError)
    ├── ResultMismatch          completed, with a result of another type than declared
    ├── ClientClosed            the client was closed, before or during the call
    └── CallFailed              the call itself was refused or went wrong
        ├── TaskNotFound
        ├── TaskTypeNotFound    .closest: what may have been meant
        ├── ResultExpired
        ├── TaskAlreadyExists
        ├── InvalidInput        .violations: every wrong field
        │   └── PayloadTooLarge
        ├── RequestIdReused
        ├── TokenInvalid        a page or resume token
        │   └── ResumeTokenExpired
        ├── WrongState          the task's state does not allow it
        ├── LimitReached        .reason tells which
        │   └── QueueFull
        ├── NotAllowed          no or bad credentials, or no permission
        ├── NotSupported        the server does not have it (yet)
        └── Unavailable         no server, no store, or no answer in time

A task that failed is not a failed call. An input that cannot be written as JSON
is a plain TypeError or ValueError, before any call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from taskline_client.types import TaskError


class TasklineError(Exception):
    """Whatever Taskline tells its callers. It can be copied, and sent to other processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call the class with `args`, which are not what it takes; whoever
        # waits for a pool of processes would then wait for ever.
        return type(self)._copied, (self.args,), self.__dict__

    @classmethod
    def _copied(cls, args: tuple[Any, ...]) -> Self:
        copy = cls.__new__(cls)
        copy.args = args
        return copy


class TaskFailed(TasklineError):
    """The task ended with an error and no attempts left.

    `error` is what the task left; its remote traceback is shown below this
    exception's own.
    """

    def __init__(self, task_id: str, error: TaskError) -> None:
        what = f"{error.exception_class}: " if error.exception_class else ""
        super().__init__(f"task {task_id} failed: {what}{error.message}")
        self.task_id = task_id
        self.error = error
        if error.traceback:
            self.add_note(f"Remote traceback of task {task_id}:\n{error.traceback.rstrip()}")


class TaskCancelled(TasklineError):
    """The task was stopped on request, or before it ever started."""

    def __init__(self, task_id: str, error: TaskError) -> None:
        super().__init__(f"task {task_id} was cancelled: {error.message}")
        self.task_id = task_id
        self.error = error


class TaskTimeout(TasklineError, TimeoutError):
    """The task did not end in the time the caller gave. It goes on."""

    def __init__(self, task_id: str, waited: timedelta) -> None:
        seconds = waited.total_seconds()
        within = f"{seconds:g} second{'' if seconds == 1 else 's'}"
        super().__init__(f"task {task_id} did not complete within {within}")
        self.task_id = task_id
        self.waited = waited


class ResultMismatch(TasklineError):
    """The task completed, and its result is not of the type that the caller declared.

    Caller and service differ in what the task returns. `TaskClient.handle` gives a handle
    that takes any result.
    """

    def __init__(self, task_id: str, problem: str) -> None:
        super().__init__(f"the result of task {task_id} is not of the declared type: {problem}")
        self.task_id = task_id
        self.problem = problem


class ClientClosed(TasklineError):
    """The client was closed: before this call, or while it was under way."""

    def __init__(self, *, under_way: bool = False) -> None:
        super().__init__(
            "the client was closed while this call was under way"
            if under_way
            else "the client is closed"
        )


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field; `field` is its path, as in "input.width"."""

    field: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStatus:
    """How a call ended, as the wire told it."""

    # gRPC's name of it, for example "NOT_FOUND".
    code: str
    # Stable; empty if the answer did not come from Taskline.
    reason: str = ""
    message: str = ""
    metadata: Mapping[str, str]
    violations: Sequence[FieldViolation] = ()
    # When the server suggests to try again.
    retry_delay: timedelta | None = None


class CallFailed(TasklineError):
    """A call was refused or went wrong. `status` has all that the answer said."""

    def __init__(self, status: CallStatus) -> None:
        super().__init__(status.message or status.code)
        self.status = status

    @property
    def reason(self) -> str:
        """Stable name of what is wrong, for example "QUEUE_FULL"; may be empty."""
        return self.status.reason


class TaskNotFound(CallFailed):
    """No such task: it never existed, or its record has been dropped."""


class TaskTypeNotFound(CallFailed):
    """The deployment does not know this task type."""

    @property
    def closest(self) -> str:
        """The known task type with the most similar name; may be empty."""
        return self.status.metadata.get("closest", "")


class ResultExpired(CallFailed):
    """The task completed, and its result is no longer kept."""


class TaskAlreadyExists(CallFailed):
    """The task_id is taken."""


class InvalidInput(CallFailed):
    """Fields of the request are wrong; every one of them is named."""

    @property
    def violations(self) -> Sequence[FieldViolation]:
        """One per wrong field."""
        return self.status.violations


class PayloadTooLarge(InvalidInput):
    """The input is over the deployment's limit; pass a reference instead."""


class RequestIdReused(CallFailed):
    """The request_id belongs to a request with another content."""


class TokenInvalid(CallFailed):
    """The page or resume token is not the server's, is too old, or belongs elsewhere."""


class ResumeTokenExpired(TokenInvalid):
    """What has happened since the resume token is no longer kept."""


class WrongState(CallFailed):
    """The state of the task does not allow what was asked."""


class LimitReached(CallFailed):
    """The deployment takes no more of this now; `reason` tells what is full."""


class QueueFull(LimitReached):
    """The queue holds as many waiting tasks as it may."""


class NotAllowed(CallFailed):
    """Credentials are missing or bad, or do not permit this."""


class NotSupported(CallFailed):
    """The server does not have this call."""


class Unavailable(CallFailed):
    """No server or no store can be reached, or the answer did not come in time.

    Safe to try again; an enqueue with the request_id of the first try.
    """
