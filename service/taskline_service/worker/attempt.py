"""Runs one claimed task: in its place, in its time, to its outcome."""

import asyncio
import contextvars
import logging
import time
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from typing import assert_never

from taskline_service import logs
from taskline_service.execution.call import Call, ChildDied, Ended, LeftBehind, Place, Reports
from taskline_service.execution.failures import error_from
from taskline_service.retry import attempts_left, delay_after, delay_after_loss
from taskline_service.store.values import Completion, Failure
from taskline_service.task import Claim, ErrorType, TaskError
from taskline_service.worker.outcomes import Outcome
from taskline_service.worker.time_limit import TimeLimit

log = logging.getLogger(__name__)

# How long interrupted code may take to end before it is ended by force.
INTERRUPT_GRACE_S = 5.0
# The same when the worker ends: it must be gone soon, and what it runs is to be given back.
SHUTDOWN_GRACE_S = 0.5
# For the force to take effect.
_FORCE_LIMIT_S = 1.0


class StopReason(Enum):
    """Why a running attempt is interrupted."""

    TIMEOUT = auto()  # it ran longer than it may
    CANCEL = auto()  # somebody asked for it
    LOST = auto()  # the claim is no longer ours
    OVERDUE = auto()  # it could not be renewed in time; the task is given back
    SHUTDOWN = auto()  # the worker ends; the task is given back


class Attempt:
    """One execution of a task, from its claim to its outcome."""

    def __init__(
        self,
        claim: Claim,
        place: Place,
        call: Call,
        reports: Reports,
        limit: TimeLimit,
        *,
        longest_backoff: timedelta | None = None,
    ) -> None:
        self.claim = claim
        self.stop_reason: StopReason | None = None
        # What log records say of it, once it runs.
        self.about: logs.TaskFields = {}
        self._place = place
        self._call = call
        self._reports = reports
        self._limit = limit
        self._longest_backoff = longest_backoff
        self._loop = asyncio.get_running_loop()
        self._stop_asked_at: float | None = None
        self._worker_ends = False
        self._news: asyncio.Future[None] | None = None

    def stop(self, reason: StopReason) -> None:
        """Interrupt the code, which may still end in its own way. Once is enough; any thread."""
        if self.stop_reason is None or reason is StopReason.LOST:
            self.stop_reason = reason
        self._stop_asked_at = self._stop_asked_at or time.monotonic()
        self._worker_ends = self._worker_ends or reason is StopReason.SHUTDOWN
        self._loop.call_soon_threadsafe(self._tell)

    @property
    def overdue(self) -> float:
        """For how many seconds it should have ended; negative while it may run. Any thread."""
        if self._stop_asked_at is not None:
            return time.monotonic() - self._stop_asked_at
        return -self._limit.left

    async def run(self) -> Outcome | None:
        """Execute; returns how it ended, None if that is not ours to tell any more.

        It ends in time, whatever the code does: what does not stop is left behind.
        """
        if self.stop_reason is not None:
            return self.stopped()
        self.about = logs.about()
        context = contextvars.copy_context()
        context.run(_present.set, self)
        running = asyncio.create_task(
            self._run(), name=f"task-{self.claim.task_id}", context=context
        )
        try:
            await self._see_it_end(running)
        except asyncio.CancelledError:  # the worker itself is being torn down
            running.cancel()
            raise
        if not running.done():
            log.warning("task %s: does not stop: it is left behind", self.claim.task_id)
            return self.stopped(unstoppable=True)
        return self._outcome_of(running)

    async def _run(self) -> Ended:
        return await self._place(self._call, self._reports)

    async def _see_it_end(self, running: "asyncio.Task[Ended]") -> None:
        """Wait for it; if it is to stop or its time is over, interrupt it, then use force."""
        running.add_done_callback(self._tell)
        while not running.done() and self._stop_asked_at is None and (left := self._limit.left) > 0:
            await self._hear(left)
        if running.done():
            return
        self.stop_reason = self.stop_reason or StopReason.TIMEOUT
        running.cancel()
        await self._grace(running)
        if not running.done():
            running.cancel()
            await asyncio.wait([running], timeout=_FORCE_LIMIT_S)

    async def _grace(self, running: "asyncio.Task[Ended]") -> None:
        """Give it time to end in its own way; less of it when the worker ends."""
        over_at = time.monotonic() + INTERRUPT_GRACE_S
        while not running.done() and (left := over_at - time.monotonic()) > 0:
            if self._worker_ends:
                await asyncio.wait([running], timeout=min(left, SHUTDOWN_GRACE_S))
                return
            await self._hear(left)

    async def _hear(self, seconds: float) -> None:
        """Wait until the code ends or stop() is called; at most so long.

        By hand, as every task waits here once: asyncio.wait() would take a tenth of its time.
        """
        self._news = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._tell)
        try:
            await self._news
        finally:
            timer.cancel()

    def _tell(self, _ended: object = None) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _outcome_of(self, running: "asyncio.Task[Ended]") -> Outcome | None:
        try:
            ended = running.result()
        except asyncio.CancelledError:
            return self.stopped()
        except LeftBehind:
            return self.stopped(unstoppable=True)
        except ChildDied as died:
            return self._lost(died) if self.stop_reason is None else self.stopped()
        except Exception as error:  # such as that there is no child process
            log.exception("task %s: could not be executed", self.claim.task_id)
            return self._failed(replace(error_from(error), error_type=ErrorType.UNKNOWN))
        return self._outcome(ended)

    def _outcome(self, ended: Ended) -> Outcome | None:
        in_time = ended.took <= self._limit.seconds
        # What blocked the event loop may end before its time can be called over; and what
        # ended in time may be heard of too late, because something else blocked it.
        if self.stop_reason in (None, StopReason.TIMEOUT):
            self.stop_reason = None if in_time else StopReason.TIMEOUT
        # One that was cancelled or given back may have finished first; then that counts.
        if ended.result is not None and self.stop_reason not in (
            StopReason.TIMEOUT,
            StopReason.LOST,
        ):
            return Completion(self.claim, ended.result)
        if self.stop_reason is not None:
            return self.stopped()
        assert ended.error is not None
        return self._failed(ended.error, retry_after=ended.retry_after)

    def stopped(self, *, unstoppable: bool = False) -> Outcome | None:
        """The outcome of having been interrupted; `unstoppable`: in vain."""
        match self.stop_reason:
            case StopReason.LOST | StopReason.OVERDUE | StopReason.SHUTDOWN:
                return None
            case StopReason.CANCEL:
                error = TaskError(error_type=ErrorType.CANCELLED, message="the task was cancelled")
                return Failure(self.claim, error, None)
            case StopReason.TIMEOUT:
                message = (
                    "the attempt ran longer than its execution_timeout of "
                    f"{self._limit.seconds:g} s"
                )
                failure = self._failed(
                    TaskError(error_type=ErrorType.TIMEOUT, message=message, is_retryable=True)
                )
                return replace(failure, unstoppable=unstoppable)
            case None:
                message = "the task raised CancelledError although nobody had asked it to stop"
                return self._failed(
                    TaskError(error_type=ErrorType.RUNTIME, message=message, is_retryable=True)
                )
            case _:
                assert_never(self.stop_reason)

    def _lost(self, died: ChildDied) -> Failure:
        error = TaskError(error_type=ErrorType.WORKER_LOST, message=str(died), is_retryable=True)
        return Failure(self.claim, error, delay_after_loss())

    def _failed(self, error: TaskError, *, retry_after: timedelta | None = None) -> Failure:
        policy, failures = self.claim.spec.retry_policy, self.claim.failures + 1
        if not (error.is_retryable and attempts_left(policy, failures)):
            return Failure(self.claim, error, None)
        backoff = delay_after(policy, failures) if retry_after is None else retry_after
        if self._longest_backoff is not None:
            backoff = min(backoff, self._longest_backoff)
        return Failure(self.claim, error, backoff)


# The attempt whose code runs in this context, and in whatever is started from it.
_present: ContextVar[Attempt] = ContextVar("_present")


def attempt_in(context: contextvars.Context) -> Attempt | None:
    """The attempt whose code runs in a context; None if it is not that of a task."""
    return context.get(_present)
