"""Tasks as their authors write them, and what is published about them.

No I/O: nothing here knows of the store or the wire.
"""

from taskline_service.tasks.context import TaskContext, TaskLogger
from taskline_service.tasks.definition import TaskDefinition
from taskline_service.tasks.details import checked_details
from taskline_service.tasks.failure import TaskFailure
from taskline_service.tasks.inputs import InputMismatch, parse_input
from taskline_service.tasks.logged import Logged
from taskline_service.tasks.options import ConflictPolicy, EnqueueOptions, RetryPolicy
from taskline_service.tasks.progress import ProgressReporter
from taskline_service.tasks.published import JsonSchema, TaskTypeInfo
from taskline_service.tasks.registry import TaskRegistry
from taskline_service.tasks.results import ResultNotSerializable, ResultTooLarge
from taskline_service.tasks.signature import BoundCall
from taskline_service.tasks.subtasks import (
    Subtask,
    SubtaskCancelled,
    SubtaskError,
    SubtaskFailed,
    SubtaskRefused,
)
from taskline_service.tasks.validation import InputValidator
from taskline_service.tasks.weight import is_large

__all__ = [
    "BoundCall",
    "ConflictPolicy",
    "EnqueueOptions",
    "InputMismatch",
    "InputValidator",
    "JsonSchema",
    "Logged",
    "ProgressReporter",
    "ResultNotSerializable",
    "ResultTooLarge",
    "RetryPolicy",
    "Subtask",
    "SubtaskCancelled",
    "SubtaskError",
    "SubtaskFailed",
    "SubtaskRefused",
    "TaskContext",
    "TaskDefinition",
    "TaskFailure",
    "TaskLogger",
    "TaskRegistry",
    "TaskTypeInfo",
    "checked_details",
    "is_large",
    "parse_input",
]
