"""Runs one claimed task: its input, its function, its result or error."""

import asyncio
import functools
import inspect
import logging
from enum import Enum, auto
from typing import Any

from taskline_service.limits import MAX_RESULT_BYTES
from taskline_service.retry import attempts_left, delay_after
from taskline_service.store.values import Completion, Failure
from taskline_service.task import Claim, ErrorType, TaskError
from taskline_service.tasks import BoundCall, InputMismatch, ResultNotSerializable, TaskContext
from taskline_service.tasks.definition import TaskDefinition
from taskline_service.worker.failures import (
    MAX_MESSAGE_BYTES,
    cut_end,
    error_from,
    qualified_name,
)
from taskline_service.worker.outcomes import Outcome
from taskline_service.worker.threads import Interrupted, run_in_thread

log = logging.getLogger(__name__)


class StopReason(Enum):
    """Why a running attempt is stopped from outside."""

    CANCEL = auto()  # somebody asked for it
    LOST = auto()  # the claim is no longer ours
    SHUTDOWN = auto()  # the worker ends; the task is given back


class Attempt:
    """One execution of a task, from its claim to its outcome."""

    def __init__(self, claim: Claim, definition: TaskDefinition, context: TaskContext) -> None:
        self.claim = claim
        self.stop_reason: StopReason | None = None
        self._definition = definition
        self._context = context
        self._task: asyncio.Task[Any] | None = None

    def stop(self, reason: StopReason) -> None:
        """Interrupt the function, which may still end in its own way. Once is enough."""
        if self.stop_reason is None or reason is StopReason.LOST:
            self.stop_reason = reason
            if self._task is not None:
                self._task.cancel()

    async def run(self) -> Outcome | None:
        """Execute; returns how it ended, None if that is not ours to tell any more."""
        self._task = asyncio.current_task()
        try:
            if self.stop_reason is not None:
                raise asyncio.CancelledError
            result = await self._result()
            return Completion(self.claim, result)
        except asyncio.CancelledError:
            if self.stop_reason is None and self._asked_to_stop():
                raise  # the worker itself is being torn down
            return self._stopped()
        except (InputMismatch, ResultNotSerializable, ResultTooLarge) as error:
            log.warning("task %s: %s", self.claim.task_id, error)
            return self._failure(_serialization_error(error), retryable=False)
        except _TimedOut:
            timeout = self._timeout()
            message = f"the attempt ran longer than its execution_timeout of {timeout:g} s"
            return self._failure(
                TaskError(error_type=ErrorType.TIMEOUT, message=message, is_retryable=True)
            )
        except BaseException as error:  # task code may raise anything
            return self._failure(error_from(error))

    async def _result(self) -> bytes:
        call = self._definition.arguments(self.claim.spec.input, self._context)
        result = self._definition.dump_result(await self._call(call))
        if len(result) > MAX_RESULT_BYTES:
            raise ResultTooLarge(len(result), MAX_RESULT_BYTES)
        return result

    async def _call(self, call: BoundCall) -> Any:
        timeout = asyncio.timeout(self._timeout())
        try:
            async with timeout:
                value = await self._run_function(call)
        except TimeoutError:
            if timeout.expired():
                raise _TimedOut from None
            raise  # the task's own
        if timeout.expired():  # it ignored that it was interrupted
            raise _TimedOut
        return value

    async def _run_function(self, call: BoundCall) -> Any:
        function = functools.partial(self._definition.function, *call.args, **call.kwargs)
        if self._definition.is_async:
            return await function()
        try:
            value = await run_in_thread(function, name=f"task-{self.claim.task_id}")
        except Interrupted:
            raise asyncio.CancelledError from None
        # A plain function around an `async def` one, as a decorator makes it.
        return await value if inspect.isawaitable(value) else value

    def _timeout(self) -> float:
        timeout = self.claim.spec.execution_timeout or self._definition.execution_timeout
        return timeout.total_seconds()

    def _asked_to_stop(self) -> bool:
        return self._task is not None and self._task.cancelling() > 0

    def _stopped(self) -> Outcome | None:
        if self.stop_reason in (StopReason.LOST, StopReason.SHUTDOWN):
            return None
        if self.stop_reason is StopReason.CANCEL:
            message = "the task was cancelled"
            return self._failure(
                TaskError(error_type=ErrorType.CANCELLED, message=message), retryable=False
            )
        message = "the task raised CancelledError although nobody had asked it to stop"
        return self._failure(
            TaskError(error_type=ErrorType.RUNTIME, message=message, is_retryable=True)
        )

    def _failure(self, error: TaskError, *, retryable: bool = True) -> Failure:
        policy, failures = self.claim.spec.retry_policy, self.claim.failures + 1
        again = retryable and attempts_left(policy, failures)
        return Failure(self.claim, error, delay_after(policy, failures) if again else None)


class ResultTooLarge(Exception):
    """The result is over the limit."""

    def __init__(self, size: int, limit: int) -> None:
        message = (
            f"the result has {size} bytes, the limit is {limit}: "
            "store it elsewhere and return a reference to it"
        )
        super().__init__(message)


class _TimedOut(Exception):
    """The attempt took longer than it may."""


def _serialization_error(error: Exception) -> TaskError:
    # Without a traceback: it would show our code only.
    return TaskError(
        error_type=ErrorType.SERIALIZATION,
        message=cut_end(str(error), MAX_MESSAGE_BYTES),
        exception_class=qualified_name(type(error)),
    )
