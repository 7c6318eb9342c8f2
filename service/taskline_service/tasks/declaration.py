"""What may be declared about a task type, checked when the decorator is applied."""

import math
from datetime import timedelta
from enum import StrEnum

from taskline_service.limits import LARGEST_MAX_RESULT_BYTES
from taskline_service.names import QUEUE, QUEUE_RULE, TASK_TYPE, TASK_TYPE_RULE
from taskline_service.task import UNLIMITED_ATTEMPTS, RetryPolicy


class Executor(StrEnum):
    """Where the code of a task runs."""

    # `async def` on the event loop of the worker, a plain function in a thread.
    AUTO = "auto"
    # In a child process of the worker.
    PROCESS = "process"


def check_name(name: str) -> None:
    """Raise ValueError unless it can name a task type."""
    if not isinstance(name, str) or not TASK_TYPE.fullmatch(name):
        raise ValueError(f"task type {name!r}: {TASK_TYPE_RULE}")


def check_queue(name: str, queue: str) -> None:
    """Raise ValueError unless it can name a queue."""
    if not isinstance(queue, str) or not QUEUE.fullmatch(queue):
        raise ValueError(f"task type {name!r}: queue {queue!r} {QUEUE_RULE}")


def check_timeout(name: str, timeout: timedelta) -> None:
    """Raise ValueError unless an attempt can be given this long."""
    if not _is_span(timeout) or timeout <= timedelta(0):
        raise ValueError(f"task type {name!r}: timeout must be a timedelta greater than 0")


def checked_executor(name: str, executor: str) -> Executor:
    """Raise ValueError unless it names a place where code can run."""
    try:
        return Executor(executor)
    except ValueError:
        known = " or ".join(repr(each.value) for each in Executor)
        raise ValueError(f"task type {name!r}: executor must be {known}") from None


def check_retry(name: str, retry: RetryPolicy) -> None:
    """Raise ValueError unless attempts can be repeated like this."""
    attempts, multiplier = retry.max_attempts, retry.backoff_multiplier
    if type(attempts) is not int or (attempts < 1 and attempts != UNLIMITED_ATTEMPTS):
        raise ValueError(f"task type {name!r}: max_attempts must be at least 1, or -1 for no limit")
    if not _is_span(retry.initial_backoff) or retry.initial_backoff < timedelta(0):
        raise ValueError(f"task type {name!r}: initial_backoff must be a timedelta of at least 0")
    if not _is_span(retry.max_backoff) or retry.max_backoff < retry.initial_backoff:
        raise ValueError(
            f"task type {name!r}: max_backoff must be a timedelta, not less than initial_backoff"
        )
    if type(multiplier) not in (int, float) or not math.isfinite(multiplier) or multiplier < 1:
        raise ValueError(f"task type {name!r}: backoff_multiplier must be a number of at least 1")


def check_max_result_size(name: str, size: int | None) -> None:
    """Raise ValueError unless results can be limited to this many bytes; None: no own limit."""
    if size is not None and (type(size) is not int or not 1 <= size <= LARGEST_MAX_RESULT_BYTES):
        raise ValueError(
            f"task type {name!r}: max_result_size must be 1 to {LARGEST_MAX_RESULT_BYTES} bytes"
        )


def _is_span(value: object) -> bool:
    return isinstance(value, timedelta)
