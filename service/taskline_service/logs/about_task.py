"""Which task a record is about.

It is bound to the context that the code of the task runs in, and so to what that awaits, to the
threads that asyncio starts for it, and to its child process.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar

# The fields by name, in the order in which they are shown.
TaskFields = Mapping[str, str | int]

_NO_TASK: TaskFields = {}
_present: ContextVar[TaskFields | None] = ContextVar("_present", default=None)


def bind(fields: TaskFields) -> None:
    """From now on, records of this context are about this task."""
    _present.set(fields)


def about() -> TaskFields:
    """The task of this context; empty if there is none."""
    return _present.get() or _NO_TASK


class NamesTask(logging.Filter):
    """Names the task on each record; what the code itself says of it does not count."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        for name, value in about().items():
            record.__dict__.pop(name, None)  # so that these are the last ones
            record.__dict__[name] = value
        return True
