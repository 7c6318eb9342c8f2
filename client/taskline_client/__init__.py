"""The typed client of Taskline.

async with TaskClient("127.0.0.1:50051") as client:
    handle = await client.enqueue("text.count_words", path="README.md")
    async for event in handle.watch():
        print(event)
    print(await handle.result(timeout=timedelta(seconds=30)))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskline_client.admin import AdminClient
    from taskline_client.client import TaskClient
    from taskline_client.deployment import Queue, ServerInfo, TaskTypeInfo, Worker
    from taskline_client.errors import (
        CallFailed,
        CallStatus,
        ClientClosed,
        FieldViolation,
        InvalidInput,
        LimitReached,
        NotAllowed,
        NotSupported,
        PayloadTooLarge,
        QueueFull,
        RequestIdReused,
        ResultExpired,
        ResultMismatch,
        ResumeTokenExpired,
        TaskAlreadyExists,
        TaskCancelled,
        TaskFailed,
        TasklineError,
        TaskNotFound,
        TaskTimeout,
        TaskTypeNotFound,
        TokenInvalid,
        Unavailable,
        WrongState,
    )
    from taskline_client.events import (
        Ended,
        LogLine,
        Output,
        ProgressReported,
        Snapshot,
        StateChanged,
        TaskEvent,
        UnknownEvent,
    )
    from taskline_client.handle import TaskHandle
    from taskline_client.requests import ConflictPolicy, EnqueueOptions, EnqueueRequest, TaskFilter
    from taskline_client.statistics import HistoryBucket, Stats, TaskTypeStats
    from taskline_client.typed import TaskType, TypedTask
    from taskline_client.types import (
        Attempt,
        ErrorType,
        Progress,
        RetryPolicy,
        Task,
        TaskError,
        TaskPage,
        TaskState,
    )

__all__ = [
    "AdminClient",
    "Attempt",
    "CallFailed",
    "CallStatus",
    "ClientClosed",
    "ConflictPolicy",
    "Ended",
    "EnqueueOptions",
    "EnqueueRequest",
    "ErrorType",
    "FieldViolation",
    "HistoryBucket",
    "InvalidInput",
    "LimitReached",
    "LogLine",
    "NotAllowed",
    "NotSupported",
    "Output",
    "PayloadTooLarge",
    "Progress",
    "ProgressReported",
    "Queue",
    "QueueFull",
    "RequestIdReused",
    "ResultExpired",
    "ResultMismatch",
    "ResumeTokenExpired",
    "RetryPolicy",
    "ServerInfo",
    "Snapshot",
    "StateChanged",
    "Stats",
    "Task",
    "TaskAlreadyExists",
    "TaskCancelled",
    "TaskClient",
    "TaskError",
    "TaskEvent",
    "TaskFailed",
    "TaskFilter",
    "TaskHandle",
    "TaskNotFound",
    "TaskPage",
    "TaskState",
    "TaskTimeout",
    "TaskType",
    "TaskTypeInfo",
    "TaskTypeNotFound",
    "TaskTypeStats",
    "TasklineError",
    "TokenInvalid",
    "TypedTask",
    "Unavailable",
    "UnknownEvent",
    "Worker",
    "WrongState",
]

# Names are imported when they are first used: the command line starts without any of them,
# and nobody needs grpc for values. In the order of their weight.
_MODULES = (
    *("types", "statistics", "deployment", "events", "errors", "typed", "requests"),
    *("handle", "client", "admin"),
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = vars(import_module(f"{__name__}.{module}"))
            if name in found:
                globals()[name] = found[name]
                return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
