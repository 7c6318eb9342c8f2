"""Tasks as their authors write them, and what is published about them.

No I/O: nothing here knows of the store or the wire.
"""

from taskline_service.tasks.context import TaskContext, TaskLogger
from taskline_service.tasks.definition import TaskDefinition
from taskline_service.tasks.inputs import InputMismatch, parse_input
from taskline_service.tasks.progress import ProgressReporter
from taskline_service.tasks.published import JsonSchema, TaskTypeInfo
from taskline_service.tasks.registry import TaskRegistry
from taskline_service.tasks.results import ResultNotSerializable
from taskline_service.tasks.signature import BoundCall
from taskline_service.tasks.validation import InputValidator

__all__ = [
    "BoundCall",
    "InputMismatch",
    "InputValidator",
    "JsonSchema",
    "ProgressReporter",
    "ResultNotSerializable",
    "TaskContext",
    "TaskDefinition",
    "TaskLogger",
    "TaskRegistry",
    "TaskTypeInfo",
    "parse_input",
]
