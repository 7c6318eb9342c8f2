"""What running task code sees of its task."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from taskline_service.limits import LONGEST_SPAN
from taskline_service.tasks.progress import (
    REPORTED,
    ProgressReporter,
    checked_percentage,
    checked_text,
)

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter


class TaskLogger(_LoggerAdapter):
    """A logger that names the task on each record, beside the caller's own `extra`."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge the two; what names the task cannot be overwritten."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


def _nobody_listens(_message: str, _percentage: float | None) -> None:
    """For tests of task code without a worker."""


def _no_time_limit(_span: timedelta) -> None:
    """The same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """The running attempt; a task gets it in the parameter annotated TaskContext."""

    task_id: str
    task_type: str
    # 1 for the first.
    attempt: int
    worker: str
    progress: ProgressReporter
    # Takes a line and its percentage, from any thread.
    on_log: Callable[[str, float | None], None] = field(default=_nobody_listens, repr=False)
    # Takes how much longer the attempt may run, from any thread.
    on_extend: Callable[[timedelta], None] = field(default=_no_time_limit, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    logger: TaskLogger = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {
            "task_id": self.task_id,
            "task_type": self.task_type,
            "attempt": self.attempt,
            "worker": self.worker,
        }
        logger = TaskLogger(logging.getLogger("taskline.task"), names)
        object.__setattr__(self, "logger", logger)

    def log(self, message: str, *, percentage: float | None = None) -> Awaitable[None]:
        """Tell those who watch the task; every line is kept with it, in order.

        As with `progress`: await it in an `async def` task, call it in a plain function. For
        the log of the worker there is `logger`.

        Args:
            message: Cut at 500 characters.
            percentage: From 0 to 100; also becomes the task's progress.

        Raises:
            TypeError: `message` is no text, or `percentage` no number.
            ValueError: `percentage` is not finite.
        """
        text = checked_text("message", message)
        share = None if percentage is None else checked_percentage(percentage)
        self.on_log(text, share)
        if share is not None:
            self.progress.set_percentage(share)
        return REPORTED

    def extend_timeout(self, time: timedelta) -> None:
        """Let this attempt run for so long from now on, whatever its timeout was.

        It counts from the call, as with the visibility timeout of SQS and the deadlines of
        Pub/Sub, so that a loop can ask for "five more minutes" at each step. It never
        shortens: what is left already stays. Once the time is over it does nothing. The next
        attempt has the timeout of the task again. May be called from any thread.

        Raises:
            TypeError: `time` is no timedelta.
            ValueError: It is not above 0, or is over 365 days.
        """
        if not isinstance(time, timedelta):
            raise TypeError(f"time must be a timedelta, not {type(time).__name__}")
        if not timedelta(0) < time <= LONGEST_SPAN:
            raise ValueError(f"time must be above 0, and at most {LONGEST_SPAN.days} days")
        self.on_extend(time)
