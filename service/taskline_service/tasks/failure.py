"""How task code says more of its failure than a message can."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from taskline_service.limits import LONGEST_SPAN


class TaskFailure(Exception):
    """Raise it to fail the attempt: with details, for good, or until a time that you know.

    `raise TaskFailure(...) from error` keeps what was the cause, in the traceback. A
    subclass may set the attributes once for all of its kind.
    """

    # Shown in TaskError.details: what JSON can hold, at most 4 KiB.
    details: Mapping[str, Any] | None = None
    # Whether another attempt may succeed; False spends no further ones.
    retryable: bool = True
    # When to try again, in place of the backoff of the task.
    retry_after: timedelta | None = None

    def __init__(
        self,
        message: str = "",
        *,
        details: Mapping[str, Any] | None = None,
        retryable: bool | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        """What is not given is as the class has it.

        Raises:
            ValueError: `retry_after` is negative or longer than a year.
        """
        super().__init__(message)
        if retry_after is not None and not timedelta(0) <= retry_after <= LONGEST_SPAN:
            raise ValueError(f"retry_after must be from 0 to {LONGEST_SPAN.days} days")
        if details is not None:
            self.details = details
        if retryable is not None:
            self.retryable = retryable
        if retry_after is not None:
            self.retry_after = retry_after


# The name that error messages and callers see is the one that it is imported by.
TaskFailure.__module__ = __name__.partition(".")[0]
