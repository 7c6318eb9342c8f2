"""Counts how tasks end, each once: by the process whose move it was."""

from taskline_service.task import ErrorType
from taskline_service.telemetry import names
from taskline_service.telemetry.bounded import kind_of
from taskline_service.telemetry.instruments import instruments


def task_completed(task_type: str, queue: str) -> None:
    """A task has ended with a result."""
    if (into := instruments()) is not None:
        into.completed.add(1, kind_of(task_type, queue))


def task_failed(task_type: str, queue: str, error_type: ErrorType) -> None:
    """A task has ended with an error, and is not tried again."""
    if (into := instruments()) is not None:
        into.failed.add(1, kind_of(task_type, queue) | {names.ERROR_TYPE: error_type.value})
