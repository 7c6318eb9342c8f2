"""What is in the store and cannot be understood: passed over, told once, counted.

Nothing else is held up by it, and it is never overwritten: `taskline fsck` names it.
"""

import logging
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgpack

from taskline_service.errors import StoreDamaged, TaskDamaged

log = logging.getLogger(__name__)

# What decoding raises when it meets bytes that we did not write.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    struct.error,
    msgpack.exceptions.UnpackException,
)
# Enough to tell of each one once; after so many the operator knows.
_MOST_TOLD = 10_000
_QUIET_S = 60.0


@contextmanager
def record_of(task_id: str) -> Iterator[None]:
    """Around the decoding of a record.

    Raises:
        TaskDamaged: It is not as we write them.
    """
    try:
        yield
    except UNREADABLE as error:
        raise TaskDamaged(task_id) from error


@contextmanager
def key_of(key: bytes) -> Iterator[None]:
    """Around the decoding of what a key that tasks share holds.

    Raises:
        StoreDamaged: It is not as we write it.
    """
    try:
        yield
    except UNREADABLE as error:
        raise StoreDamaged(key.decode(errors="replace")) from error


class DamageReport:
    """Logs each damaged thing that this process meets once, and counts them."""

    def __init__(self) -> None:
        self._told = set[str]()

    @property
    def count(self) -> int:
        """How many were met so far."""
        return len(self._told)

    def found(self, what: str, why: str | BaseException | None) -> None:
        """Tell of something that was passed over, such as "task a"; why, or what reading raised."""
        if what not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(what)
            reason = why if isinstance(why, str) else type(why).__name__
            log.error("%s is damaged and passed over (%s); see `taskline fsck`", what, reason)


class PassedOver:
    """Messages that nobody of ours wrote, or that were damaged on their way: counted, and told of.

    Anybody may send any number of them, so that the log has one line a minute at most.
    """

    def __init__(self) -> None:
        self.count = 0
        self._told = 0
        self._quiet_until = 0.0

    def found(self, where: str, why: str | BaseException) -> None:
        """One was passed over, on a channel or in the log of events."""
        self.count += 1
        now = time.monotonic()
        if now >= self._quiet_until:
            log.error(
                "%s: passed over what cannot be understood (%s), %d since this was said last",
                where,
                why if isinstance(why, str) else type(why).__name__,
                self.count - self._told,
            )
            self._told, self._quiet_until = self.count, now + _QUIET_S
