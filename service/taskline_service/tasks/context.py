"""What running task code sees of its task."""

import logging
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskline_service.tasks.progress import ProgressReporter

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter


class TaskLogger(_LoggerAdapter):
    """A logger that names the task on each record, beside the caller's own `extra`."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge the two; what names the task cannot be overwritten."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """The running attempt; a task gets it in the parameter annotated TaskContext."""

    task_id: str
    task_type: str
    # 1 for the first.
    attempt: int
    worker: str
    progress: ProgressReporter
    labels: Mapping[str, str] = field(default_factory=dict)
    logger: TaskLogger = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {
            "task_id": self.task_id,
            "task_type": self.task_type,
            "attempt": self.attempt,
            "worker": self.worker,
        }
        logger = TaskLogger(logging.getLogger("taskline.task"), names)
        object.__setattr__(self, "logger", logger)
