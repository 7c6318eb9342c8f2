"""What code in a child process tells, sent to the worker."""

import logging
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from typing import Any

from taskline_service.execution.messages import (
    Asked,
    Called,
    Emitted,
    Extended,
    Logged,
    Progressed,
    Recorded,
    Unasked,
    progress_to_fields,
    question_to_fields,
)
from taskline_service.execution.parent import Parent, ParentGone
from taskline_service.forked import Original
from taskline_service.logs import NamesTask, message_of
from taskline_service.task import Progress
from taskline_service.tasks.subtasks import Answer, Question

log = logging.getLogger(__name__)

# The worker writes no more often, so that more would be work for nothing.
_PROGRESS_EVERY_S = 0.02


class ReportsToParent:
    """The reports of one call."""

    def __init__(self, parent: Parent, number: int) -> None:
        self._parent = parent
        self._number = number
        self._lock = threading.Lock()
        self._sent_at = 0.0
        self._unsent: Progress | None = None
        self._timer: threading.Timer | None = None
        # Questions that have no answer yet, by their numbers.
        self._open: dict[int, Future[Answer]] = {}
        self._asked = 0

    def begun(self) -> None:
        """The worker knows."""

    def called(self, call: Callable[[], str]) -> None:
        """Send it at once: what the code logs comes after it."""
        if log.isEnabledFor(logging.INFO):
            self._parent.send(Called(self._number, call()))

    def progress(self, progress: Progress) -> None:
        """Send it at once if the last one was sent a while ago, otherwise soon."""
        with self._lock:
            self._unsent = progress
            wait = self._sent_at + _PROGRESS_EVERY_S - time.monotonic()
            if wait > 0:
                if self._timer is None:
                    self._timer = threading.Timer(wait, self.flush)
                    self._timer.daemon = True
                    self._timer.start()
                return
        self.flush()

    def flush(self) -> None:
        """Send the progress that is not sent yet."""
        with self._lock:
            progress, self._unsent, self._timer = self._unsent, None, None
            self._sent_at = time.monotonic()
        if progress is not None:
            self._parent.send(Progressed(self._number, progress_to_fields(progress)))

    def log(self, message: str, percentage: float | None) -> None:
        """Send a line."""
        self._parent.send(Logged(self._number, message, percentage))

    def output(self, data: bytes) -> None:
        """Send a value; waits while the worker has no room for it."""
        self._parent.send(Emitted(self._number, data))

    async def room(self) -> None:
        """Sending has waited for it."""

    def extend(self, span: timedelta, *, asked_at: float) -> None:
        """Ask for more time."""
        self._parent.send(Extended(self._number, span.total_seconds(), asked_at))

    async def ask(self, question: Question) -> Answer:
        """Ask the worker."""
        import asyncio

        future: Future[Answer] = Future()
        with self._lock:
            self._asked += 1
            number = self._asked
            self._open[number] = future
        self._parent.send(Asked(self._number, number, question_to_fields(question)))
        try:
            return await asyncio.wrap_future(future)
        finally:
            if self._open.pop(number, None) is not None:  # it waits no longer
                self._parent.send(Unasked(self._number, number))

    def answered(self, question: int, answer: Answer) -> None:
        """Hand out an answer, unless nobody waits for it any more."""
        future = self._open.pop(question, None)
        if future is not None and future.set_running_or_notify_cancel():
            future.set_result(answer)

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Wait on an event loop that is there for nothing else."""
        import asyncio

        async def wait() -> Any:
            return await awaitable

        return asyncio.run(wait())


class LogToParent(logging.Handler):
    """Sends log records; the worker handles them as its own. A copy of this process, such as one
    that multiprocessing makes, writes its own to standard error."""

    def __init__(self, parent: Parent) -> None:
        super().__init__()
        self._parent = parent
        self._original = Original()
        self._in_copies = logging.StreamHandler()
        self.addFilter(NamesTask())

    def emit(self, record: logging.LogRecord) -> None:
        """Send one."""
        if not self._original.is_here:
            self._in_copies.handle(record)
            return
        try:
            with suppress(ParentGone):
                self._parent.send(Recorded(_plain(record)))
        except Exception:  # as the handlers of the standard library: logging ends nothing
            self.handleError(record)


def _plain(record: logging.LogRecord) -> dict[str, Any]:
    """The record with its text, and without what only this process understands."""
    text = {"msg": message_of(record), "args": None, "exc_info": None}
    if record.exc_info and not record.exc_text:
        text["exc_text"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return {name: _sendable(value) for name, value in (record.__dict__ | text).items()}


def _sendable(value: Any) -> Any:
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    return value if value is None or isinstance(value, str | float) else str(value)
