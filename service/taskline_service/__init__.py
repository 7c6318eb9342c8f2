"""Taskline's server and workers, and what task authors need: these names."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskline_service.tasks import (
        ConflictPolicy,
        EnqueueOptions,
        Logged,
        RetryPolicy,
        Subtask,
        SubtaskCancelled,
        SubtaskError,
        SubtaskFailed,
        SubtaskRefused,
        TaskContext,
        TaskFailure,
        TaskRegistry,
    )

__all__ = [
    "ConflictPolicy",
    "EnqueueOptions",
    "Logged",
    "RetryPolicy",
    "Subtask",
    "SubtaskCancelled",
    "SubtaskError",
    "SubtaskFailed",
    "SubtaskRefused",
    "TaskContext",
    "TaskFailure",
    "TaskRegistry",
]


def __getattr__(name: str) -> Any:
    # Late: they bring libraries along that most commands of the command line do without.
    if name in __all__:
        from taskline_service import tasks

        return getattr(tasks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
