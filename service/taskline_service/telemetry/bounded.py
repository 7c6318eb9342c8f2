"""Keeps the number of series bounded, whatever callers and tasks make up.

A series is kept for as long as the process lives, in it and in whoever collects it. Queues are
named by callers, and classes of exceptions by tasks: of each, the first ones keep their name.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from taskline_service.telemetry import names

OTHER = "_OTHER"
MOST_QUEUES = 500
MOST_KINDS = 1_000
MOST_ERRORS = 200

_T = TypeVar("_T", bound=Hashable)


class Bounded(Generic[_T]):
    """Lets so many values pass, and none that comes later; may be used from any thread."""

    def __init__(self, most: int, *, other: _T) -> None:
        """`other` stands for those that do not pass."""
        self._most = most
        self._other = other
        self._known = set[_T]()

    def __call__(self, value: _T) -> _T:
        """The value, or what stands for it."""
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return self._other
        self._known.add(value)
        return value


_queue = Bounded(MOST_QUEUES, other=OTHER)
_kind = Bounded(MOST_KINDS, other=(OTHER, OTHER))
_error = Bounded(MOST_ERRORS, other=OTHER)


def queue_of(queue: str) -> dict[str, str]:
    """A queue, as an attribute of metrics."""
    return {names.MESSAGING_DESTINATION: _queue(queue)}


def kind_of(task_type: str, queue: str) -> dict[str, str]:
    """A task type on a queue."""
    task_type, queue = _kind((task_type, queue))
    return {names.MESSAGING_DESTINATION: queue, names.TASK_TYPE: task_type}


def bounded_error(error_type: str) -> dict[str, str]:
    """What kind of error; nothing for none."""
    return {names.ERROR_TYPE: _error(error_type)} if error_type else {}
