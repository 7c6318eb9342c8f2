"""Runs one claimed task: its input, its function, its result or error."""

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from typing import Any, assert_never

from taskline_service.limits import MAX_RESULT_BYTES
from taskline_service.offload import LARGE_BYTES, off_loop
from taskline_service.retry import attempts_left, delay_after
from taskline_service.store.values import Completion, Failure
from taskline_service.task import Claim, ErrorType, TaskError
from taskline_service.tasks import (
    BoundCall,
    InputMismatch,
    ResultNotSerializable,
    ResultTooLarge,
    TaskContext,
    TaskFailure,
    is_large,
)
from taskline_service.tasks.definition import TaskDefinition
from taskline_service.worker import threads
from taskline_service.worker.failures import (
    MAX_MESSAGE_BYTES,
    cut_end,
    error_from,
    qualified_name,
)
from taskline_service.worker.outcomes import Outcome
from taskline_service.worker.outputs import OutputWriter
from taskline_service.worker.story import StorySender

log = logging.getLogger(__name__)


# How long an interrupted function may take to end before it is left behind; a thread gets
# threads.INTERRUPT_GRACE_S of this.
INTERRUPT_GRACE_S = threads.INTERRUPT_GRACE_S + 1


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
        definition: TaskDefinition,
        context: TaskContext,
        story: StorySender,
        *,
        max_result_size: int = MAX_RESULT_BYTES,
    ) -> None:
        self.claim = claim
        self.stop_reason: StopReason | None = None
        self._definition = definition
        self._context = context
        self._outputs = OutputWriter(claim, definition, story)
        self._max_result_size = max_result_size
        self._took = 0.0
        # When a plain function was done; None while it is not, and for any other.
        self._ended_at: float | None = None
        self._stop_asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def stop(self, reason: StopReason) -> None:
        """Interrupt the function, which may still end in its own way. Once is enough."""
        if self.stop_reason is None or reason is StopReason.LOST:
            self.stop_reason = reason
        if not self._stop_asked.done():
            self._stop_asked.set_result(None)

    async def run(self) -> Outcome | None:
        """Execute; returns how it ended, None if that is not ours to tell any more.

        It ends in time, whatever the function does: one that does not stop is left behind.
        """
        if self.stop_reason is not None:
            return self._stopped(self.stop_reason)
        try:
            return await self._run()
        except Exception as error:  # such as what the code of a type raises, unlike it should
            log.exception("task %s: could not be executed", self.claim.task_id)
            return self._failure(replace(error_from(error), error_type=ErrorType.UNKNOWN))

    async def _run(self) -> Outcome | None:
        given = self.claim.spec.input
        try:
            call = await off_loop(len(given), self._definition.arguments, given, self._context)
        except InputMismatch as mismatch:
            return self._unserializable(mismatch)
        function = asyncio.create_task(self._call(call), name=f"task-{self.claim.task_id}")
        try:
            await self._wait_for(function)
        except asyncio.CancelledError:  # the worker itself is being torn down
            function.cancel()
            raise
        return await self._outcome_of(function)

    async def _call(self, call: BoundCall) -> Any:
        function = functools.partial(self._definition.function, *call.args, **call.kwargs)
        started = time.monotonic()
        try:
            try:
                return await self._value_of(function)
            finally:
                self._took = (self._ended_at or time.monotonic()) - started
        except threads.Interrupted:
            raise asyncio.CancelledError from None
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # task code may raise anything, and must end nothing else
            raise _Raised from error

    async def _value_of(self, function: Callable[[], Any]) -> Any:
        if self._definition.emits:
            return await self._outputs.write_all(function)
        if self._definition.is_async:
            return await function()
        in_thread = functools.partial(self._timed, function)
        value = await threads.run_in_thread(in_thread, name=f"task-{self.claim.task_id}")
        # A plain function around an `async def` one, as a decorator makes it.
        return await value if inspect.isawaitable(value) else value

    def _timed(self, function: Callable[[], Any]) -> Any:
        """Call it in its thread, where its end does not wait for the event loop."""
        try:
            value = function()
        except BaseException:
            self._ended_at = time.monotonic()
            raise
        if not inspect.isawaitable(value):
            self._ended_at = time.monotonic()
        return value

    async def _wait_for(self, function: asyncio.Task[Any]) -> None:
        """Wait for the function to end; if it is to stop or its time is over, see that it does."""
        waited_for = [function, self._stop_asked]
        await asyncio.wait(waited_for, timeout=self._timeout(), return_when=asyncio.FIRST_COMPLETED)
        if self._ended_at is not None and not self._stop_asked.done():
            # It has ended, but the event loop was too busy to hear of it.
            await asyncio.wait([function], timeout=INTERRUPT_GRACE_S)
        if function.done():
            # One that blocks the event loop may end before its time can be called over.
            if self.stop_reason is None and self._took > self._timeout():
                self.stop_reason = StopReason.TIMEOUT
            return
        self.stop_reason = self.stop_reason or StopReason.TIMEOUT
        function.cancel()
        await asyncio.wait([function], timeout=INTERRUPT_GRACE_S)
        if not function.done():
            log.warning("task %s: does not stop: it is left behind", self.claim.task_id)

    async def _outcome_of(self, function: asyncio.Task[Any]) -> Outcome | None:
        if not function.done():
            assert self.stop_reason is not None
            return self._stopped(self.stop_reason)
        if function.cancelled():
            return self._stopped(self.stop_reason)
        error = function.exception()
        # One that was cancelled or given back may have finished first; then that counts.
        if error is None and self.stop_reason not in (StopReason.TIMEOUT, StopReason.LOST):
            return await self._completion(function.result())
        if self.stop_reason is not None:
            return self._stopped(self.stop_reason)
        return None if error is None else self._raised(error.__cause__ or error)

    def _raised(self, error: BaseException) -> Failure:
        if isinstance(error, ResultNotSerializable | ResultTooLarge):  # a value that it yielded
            return self._unserializable(error)
        retry_after = error.retry_after if isinstance(error, TaskFailure) else None
        return self._failure(error_from(error), retry_after=retry_after)

    async def _completion(self, value: Any) -> Outcome:
        dump = functools.partial(
            self._definition.dump_result, value, max_size=self._max_result_size
        )
        try:
            result = await asyncio.to_thread(dump) if is_large(value, LARGE_BYTES) else dump()
        except (ResultNotSerializable, ResultTooLarge) as error:
            return self._unserializable(error)
        return Completion(self.claim, result)

    def _stopped(self, reason: StopReason | None) -> Outcome | None:
        match reason:
            case StopReason.LOST | StopReason.OVERDUE | StopReason.SHUTDOWN:
                return None
            case StopReason.CANCEL:
                error = TaskError(error_type=ErrorType.CANCELLED, message="the task was cancelled")
                return self._failure(error)
            case StopReason.TIMEOUT:
                message = (
                    f"the attempt ran longer than its execution_timeout of {self._timeout():g} s"
                )
                return self._failure(
                    TaskError(error_type=ErrorType.TIMEOUT, message=message, is_retryable=True)
                )
            case None:
                message = "the task raised CancelledError although nobody had asked it to stop"
                return self._failure(
                    TaskError(error_type=ErrorType.RUNTIME, message=message, is_retryable=True)
                )
            case _:
                assert_never(reason)

    def _timeout(self) -> float:
        timeout = self.claim.spec.execution_timeout or self._definition.execution_timeout
        return timeout.total_seconds()

    def _unserializable(self, error: Exception) -> Failure:
        log.warning("task %s: %s", self.claim.task_id, error)
        return self._failure(_serialization_error(error))

    def _failure(self, error: TaskError, *, retry_after: timedelta | None = None) -> Failure:
        policy, failures = self.claim.spec.retry_policy, self.claim.failures + 1
        if not (error.is_retryable and attempts_left(policy, failures)):
            return Failure(self.claim, error, None)
        backoff = delay_after(policy, failures) if retry_after is None else retry_after
        return Failure(self.claim, error, backoff)


class _Raised(Exception):
    """Carries what task code raised, which may be something that would end the event loop."""


def _serialization_error(error: Exception) -> TaskError:
    # Without a traceback: it would show our code only.
    return TaskError(
        error_type=ErrorType.SERIALIZATION,
        message=cut_end(str(error), MAX_MESSAGE_BYTES),
        exception_class=qualified_name(type(error)),
    )
