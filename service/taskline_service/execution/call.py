"""One execution of a task's code: what it is given, what it tells, and how it ended."""

import functools
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from taskline_service.forked import Original
from taskline_service.task import Progress, TaskError
from taskline_service.tasks import ProgressReporter, TaskContext
from taskline_service.tasks.subtasks import Answer, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the code of a task is called with."""

    task_id: str
    task_type: str
    attempt: int
    worker: str
    labels: Mapping[str, str]
    input: bytes
    # Largest result kept, in bytes.
    max_result_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended by itself: with a result as JSON, or an error."""

    # Seconds that the code ran.
    took: float
    result: bytes | None = None
    error: TaskError | None = None
    # What the error itself says about the next attempt.
    retry_after: timedelta | None = None


class Reports(Protocol):
    """Takes what running code tells, from any thread."""

    def begun(self) -> None:
        """The code begins to run."""

    def called(self, call: Callable[[], str]) -> None:
        """What it is called with, in words, as far as that may be logged."""

    def progress(self, progress: Progress) -> None:
        """How far it is."""

    def log(self, message: str, percentage: float | None) -> None:
        """A line for those who watch."""

    def output(self, data: bytes) -> None:
        """A value that it yielded, as JSON; wait for room() before the next."""

    async def room(self) -> None:
        """Wait until there is room for another output."""

    def extend(self, span: timedelta, *, asked_at: float) -> None:
        """It needs so much time more, from `asked_at` (monotonic) on."""

    async def ask(self, question: Question) -> Answer:
        """It wants another task to be enqueued, or waits for one."""

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Of a plain function: wait for it here, and return its result."""


# How each place is used: it runs the code to its end.
#
# Cancelling it interrupts the code, which may still end in its own way. Cancelling it again
# ends the code by force; where that cannot be done, the place raises LeftBehind.
Place = Callable[[Call, Reports], Awaitable[Ended]]


class LeftBehind(Exception):
    """The code does not stop, and goes on although nobody waits for it any more."""


class ChildDied(Exception):
    """The child process that ran the code is gone, and took no other task with it."""


def context_of(call: Call, reports: Reports) -> TaskContext:
    """What the code sees of its task."""
    original = Original()
    return TaskContext(
        task_id=call.task_id,
        task_type=call.task_type,
        attempt=call.attempt,
        worker=call.worker,
        labels=call.labels,
        on_log=original.only(reports.log),
        on_extend=original.only(functools.partial(_extend, reports)),
        on_ask=original.only(reports.ask),
        on_wait=original.only(reports.wait_for),
        progress=ProgressReporter(original.only(reports.progress), task_id=call.task_id),
    )


def _extend(reports: Reports, span: timedelta) -> None:
    reports.extend(span, asked_at=time.monotonic())
