"""Tasks that a running task enqueues, and waits for."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from pydantic_core import to_json

from taskline_service.task import TaskError
from taskline_service.tasks.options import EnqueueOptions, split_options

R_co = TypeVar("R_co", covariant=True)


class SubtaskError(Exception):
    """There is no result of a subtask."""


class SubtaskFailed(SubtaskError):
    """A subtask ended with an error; its traceback is shown below this exception's own."""

    def __init__(self, task_id: str, error: TaskError) -> None:
        what = f"{error.exception_class}: " if error.exception_class else ""
        super().__init__(f"task {task_id} failed: {what}{error.message}")
        self.task_id = task_id
        self.error = error
        if error.traceback:
            self.add_note(f"Traceback of task {task_id}:\n{error.traceback.rstrip()}")


class SubtaskCancelled(SubtaskError):
    """A subtask was stopped on request."""

    def __init__(self, task_id: str, error: TaskError) -> None:
        super().__init__(f"task {task_id} was cancelled: {error.message}")
        self.task_id = task_id
        self.error = error


class SubtaskRefused(SubtaskError):
    """A subtask was not accepted, or is not there; `reason` as in the table of errors."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


# What running code asks for, wherever it runs


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Accept a task."""

    task_type: str
    # JSON; None for no input.
    input: bytes | None
    options: EnqueueOptions


@dataclass(frozen=True, slots=True)
class AwaitEnd:
    """Wait for the end of a task; `seconds` at most, None: as long as it takes."""

    task_id: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask a task to stop."""

    task_id: str
    reason: str


Question = Enqueue | AwaitEnd | Cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes back; only what the question was for is set."""

    # Why it cannot be done; reason and message.
    refused: tuple[str, str] | None = None
    task_id: str = ""
    created: bool = False
    # Whether the task has ended: with one of the next two.
    ended: bool = False
    result: bytes | None = None
    error: TaskError | None = None
    cancelled: bool = False


Ask = Callable[[Question], Awaitable[Answer]]


async def nobody_answers(_question: Question) -> Answer:
    """For tests of task code without a worker."""
    raise RuntimeError("there is no worker here that could enqueue a task")


async def accepted(answer: Awaitable[Answer]) -> Answer:
    """The answer, unless it is a refusal: then SubtaskRefused is raised."""
    told = await answer
    if told.refused is not None:
        raise SubtaskRefused(*told.refused)
    return told


class Subtask(Generic[R_co]):
    """A task that a running one has enqueued; R is the type of its result."""

    def __init__(
        self, ask: Ask, task_id: str, *, created: bool, read: Callable[[bytes], R_co]
    ) -> None:
        self._ask = ask
        self._read = read
        self.id = task_id
        # False if there was one of this id.
        self.created = created

    def __repr__(self) -> str:
        return f"Subtask({self.id!r})"

    async def result(self, *, timeout: timedelta | None = None) -> R_co:
        """Wait for its end, and return what it returned.

        Meanwhile the worker runs another task in the place of this one, which goes on as
        soon as there is a place again. The time counts: see `ctx.extend_timeout`.

        Args:
            timeout: The longest wait; as long as the attempt may run unless given.

        Raises:
            SubtaskFailed, SubtaskCancelled: It ended without a result.
            SubtaskRefused: Its record or its result is no longer kept.
            TimeoutError: It has not ended yet, and goes on.
            ValueError: Its result is not of the declared type.
            TypeError: `timeout` is no timedelta.
        """
        if timeout is not None and not isinstance(timeout, timedelta):
            raise TypeError(f"timeout must be a timedelta, not {type(timeout).__name__}")
        seconds = None if timeout is None else timeout.total_seconds()
        answer = await accepted(self._ask(AwaitEnd(self.id, seconds)))
        if not answer.ended:
            unit = "second" if seconds == 1 else "seconds"
            raise TimeoutError(f"task {self.id} did not complete within {seconds:g} {unit}")
        if answer.error is not None:
            raise (SubtaskCancelled if answer.cancelled else SubtaskFailed)(self.id, answer.error)
        return self._read(answer.result or b"null")

    async def cancel(self, reason: str = "") -> None:
        """Ask it to stop; one that has ended stays as it is.

        Raises:
            SubtaskRefused: Its record is no longer kept.
        """
        await accepted(self._ask(Cancel(self.id, reason)))


def subtask_of(task: Any, *args: Any, **arguments: Any) -> tuple[Enqueue, Callable[[bytes], Any]]:
    """What to enqueue for these arguments, and what reads its result.

    Raises:
        TypeError: They do not fit the task, or there are options where none can stand.
        ValueError: They have no JSON form.
    """
    options, args, arguments = split_options(task, args, arguments)
    if isinstance(task, str):
        text = _named_input(*args, **arguments)
        return Enqueue(task, text, options), json.loads
    if not hasattr(task, "task_input"):
        raise TypeError(f"{task!r} is no task: pass a task function, a TaskType, or a name")
    # A TaskType of the client knows whether its tasks have an input at all.
    nothing = not (args or arguments or getattr(task, "needs_input", True))
    value = {} if nothing else task.task_input(*args, **arguments)
    return Enqueue(task.task_type, _json_of(value), options), task.task_result


def _named_input(*whole: Any, **arguments: Any) -> bytes | None:
    if len(whole) + bool(arguments) > 1:
        raise TypeError("pass either the whole input or the task's arguments by name, not both")
    if not whole and not arguments:
        return None
    return _json_of(whole[0] if whole else arguments)


def _json_of(value: Any) -> bytes:
    return to_json(value, by_alias=True, inf_nan_mode="constants")
