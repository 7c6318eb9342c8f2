"""The code of a task, made ready for one call."""

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from taskline_service.execution.call import Call, Ended, Reports, context_of
from taskline_service.execution.failures import error_from, qualified_name, serialization_error
from taskline_service.limits import MAX_OUTPUT_BYTES
from taskline_service.task import ErrorType
from taskline_service.tasks import (
    InputMismatch,
    ResultNotSerializable,
    ResultTooLarge,
    TaskDefinition,
    TaskFailure,
)

log = logging.getLogger(__name__)


class Clock:
    """How long the code ran."""

    def __init__(self) -> None:
        self._started = self._stopped = 0.0

    def start(self) -> None:
        """The code begins."""
        self._started = time.monotonic()

    def stop(self) -> None:
        """The code has ended, though others may hear of it later; once more counts."""
        self._stopped = time.monotonic()

    @property
    def seconds(self) -> float:
        """Until it was stopped."""
        return self._stopped - self._started

    @property
    def started(self) -> bool:
        """Whether the code began at all."""
        return self._started > 0


class Code:
    """Knows how to begin and how to end a call; the places differ in how they run it."""

    def __init__(self, definition: TaskDefinition, call: Call, reports: Reports) -> None:
        self.definition = definition
        self.call = call
        self.reports = reports
        self.clock = Clock()

    @property
    def name(self) -> str:
        """Of the thread or asyncio task that runs it."""
        return f"task-{self.call.task_id}"

    def function(self) -> Callable[[], Any]:
        """Begins: the task's function with the arguments that the input holds.

        Raises:
            InputMismatch: The input does not fit.
        """
        context = context_of(self.call, self.reports)
        bound = self.definition.arguments(self.call.input, context)
        self.reports.called(functools.partial(self.definition.in_words, bound))
        self.clock.start()
        return functools.partial(self.definition.function, *bound.args, **bound.kwargs)

    def emit(self, value: Any) -> None:
        """Report a value that the function yielded.

        Raises:
            ResultNotSerializable, ResultTooLarge: It cannot be kept.
        """
        self.reports.output(self.definition.dump_output(value, max_size=MAX_OUTPUT_BYTES))

    def returned(self, value: Any) -> Ended:
        """Ends with what the function returned.

        Raises:
            ResultNotSerializable, ResultTooLarge: It cannot be kept.
        """
        result = self.definition.dump_result(value, max_size=self.call.max_result_size)
        return Ended(took=self.clock.seconds, result=result)

    def raised(self, error: BaseException) -> Ended:
        """Ends with what the function raised, or what its values were refused for."""
        took = self.clock.seconds
        if isinstance(error, InputMismatch | ResultNotSerializable | ResultTooLarge):
            log.warning("task %s: %s", self.call.task_id, _in_log(error))
            return Ended(took=took, error=serialization_error(error))
        if not self.clock.started:  # such as what the code of a type raises, unlike it should
            kind = qualified_name(type(error))
            log.error("task %s: its input could not be read: %s", self.call.task_id, kind)
            return Ended(took=took, error=replace(error_from(error), error_type=ErrorType.UNKNOWN))
        retry_after = error.retry_after if isinstance(error, TaskFailure) else None
        return Ended(took=took, error=error_from(error), retry_after=retry_after)


def _in_log(error: Exception) -> str:
    """Without what a type's own code says of an input, which may be the input."""
    if isinstance(error, InputMismatch):
        return "the input does not fit: " + ", ".join(each.field for each in error.violations)
    return str(error)
