"""Exit codes, and how an error is told: one clear line, never a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from taskline_client import errors
from taskline_client.cli.streams import end_for_reader
from taskline_client.cli.text import printable
from taskline_client.types import TaskState


class Exit(IntEnum):
    """What the command line's exit code says."""

    OK = 0
    TASK_FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CANCELLED = 4
    TIMED_OUT = 5
    UNAVAILABLE = 6
    NOT_ALLOWED = 7


_BY_ERROR: tuple[tuple[type[errors.TasklineError], Exit], ...] = (
    (errors.TaskFailed, Exit.TASK_FAILED),
    (errors.TaskCancelled, Exit.CANCELLED),
    (errors.TaskTimeout, Exit.TIMED_OUT),
    (errors.TaskNotFound, Exit.NOT_FOUND),
    (errors.TaskTypeNotFound, Exit.NOT_FOUND),
    (errors.ResultExpired, Exit.NOT_FOUND),
    (errors.NotAllowed, Exit.NOT_ALLOWED),
    (errors.Unavailable, Exit.UNAVAILABLE),
    (errors.LimitReached, Exit.UNAVAILABLE),
)


def exit_code_of(error: errors.TasklineError) -> Exit:
    """Whatever the caller can only mend by asking differently is a usage error."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.USAGE)


def exit_code_for(state: TaskState) -> Exit:
    """Of a task that has ended."""
    if state is TaskState.CANCELLED:
        return Exit.CANCELLED
    return Exit.TASK_FAILED if state is TaskState.FAILED else Exit.OK


@contextmanager
def errors_told() -> Iterator[None]:
    """Tells an error on standard error, and exits with its code."""
    try:
        yield
    except errors.TasklineError as error:
        tell_error(error)
        sys.exit(exit_code_of(error))
    except BrokenPipeError:
        end_for_reader()


def tell_error(error: errors.TasklineError) -> None:
    """The message, and each wrong field on a line of its own."""
    violations = error.violations if isinstance(error, errors.InvalidInput) else ()
    tell("the request is not valid" if violations else str(error))
    for violation in violations:
        print(printable(f"  {violation.field}: {violation.description}"), file=sys.stderr)


def tell(message: str) -> None:
    """One line for people on standard error."""
    print(printable(f"taskline: {message}"), file=sys.stderr)


def tell_command(command: str) -> None:
    """What to type next, on a line of its own, ready to be copied."""
    print(printable(f"  {command}"), file=sys.stderr)
