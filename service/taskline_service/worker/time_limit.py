"""How long one attempt may run."""

import math
import threading
import time
from datetime import timedelta


class TimeLimit:
    """The time of an attempt, from when its code begins; may be used from any thread."""

    def __init__(self, timeout: timedelta) -> None:
        self._timeout = timeout.total_seconds()
        self._lock = threading.Lock()
        self._began_at: float | None = None
        self._over_at = math.inf

    def begin(self) -> None:
        """It counts from now on."""
        with self._lock:
            self._began_at = time.monotonic()
            self._over_at = self._began_at + self._timeout

    def extend(self, span: timedelta, *, asked_at: float) -> None:
        """Have it last so long from `asked_at` (monotonic) on, unless it lasts longer anyway.

        Does nothing if it was over by then.
        """
        with self._lock:
            if asked_at < self._over_at < math.inf:
                self._over_at = max(self._over_at, asked_at + span.total_seconds())

    @property
    def left(self) -> float:
        """Seconds until it is over; all of them while the code has not begun."""
        with self._lock:
            if self._began_at is None:
                return self._timeout
            return self._over_at - time.monotonic()

    @property
    def seconds(self) -> float:
        """From the beginning to the end, as it is by now."""
        with self._lock:
            return self._timeout if self._began_at is None else self._over_at - self._began_at
