"""When a failed attempt is repeated. Pure."""

import random
from datetime import timedelta

from taskline_service.task import UNLIMITED_ATTEMPTS, RetryPolicy

JITTER = 0.2
# A lost worker is no fault of the task: try again soon, but not all at once.
_AFTER_LOSS = RetryPolicy(initial_backoff=timedelta(milliseconds=500))


def attempts_left(policy: RetryPolicy, failures: int) -> bool:
    """Whether a task may be tried again after this many failed attempts."""
    return policy.max_attempts == UNLIMITED_ATTEMPTS or failures < policy.max_attempts


def delay_after(policy: RetryPolicy, failures: int, *, jitter: float | None = None) -> timedelta:
    """How long to wait after that many failed attempts, at least one.

    initial_backoff * backoff_multiplier^(failures-1), at most max_backoff, then 20 percent
    more or less. `jitter` from -1 to 1 takes the place of chance.
    """
    longest = policy.max_backoff.total_seconds()
    first = policy.initial_backoff.total_seconds()
    try:
        seconds = min(first * policy.backoff_multiplier ** (failures - 1), longest)
    except OverflowError:
        seconds = longest
    factor = 1 + JITTER * (random.uniform(-1, 1) if jitter is None else jitter)
    return timedelta(seconds=seconds * factor)


def delay_after_loss() -> timedelta:
    """How long to wait after the worker was lost."""
    return delay_after(_AFTER_LOSS, 1)
