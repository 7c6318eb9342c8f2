"""How long, and how often, to try again while no server answers."""

import asyncio
import random
from datetime import timedelta
from time import monotonic

from taskline_client.errors import Unavailable

_FIRST_PAUSE = 0.1  # seconds; doubles
_LONGEST_PAUSE = 5.0  # seconds


class Patience:
    """Pauses between attempts, until too much time has passed since it was made.

    Pauses are random below a doubling limit: clients that lost the same server
    do not come back all at once.
    """

    def __init__(self, limit: timedelta) -> None:
        self._end = monotonic() + limit.total_seconds()
        self._longest = _FIRST_PAUSE

    def next_pause(self, error: Unavailable) -> float | None:
        """Seconds before the next attempt; None if there is no time for one."""
        asked_for = (error.status.retry_delay or timedelta()).total_seconds()
        left = self._end - monotonic()
        if left <= asked_for:
            return None
        pause = asked_for + random.uniform(0, self._longest)
        self._longest = min(2 * self._longest, _LONGEST_PAUSE)
        # The last attempt is at the very end: a server may be back by then.
        return min(pause, left)

    async def pause(self, error: Unavailable) -> bool:
        """Wait before the next attempt; False, at once, if there is no time for one."""
        pause = self.next_pause(error)
        if pause is None:
            return False
        await asyncio.sleep(pause)
        return True
