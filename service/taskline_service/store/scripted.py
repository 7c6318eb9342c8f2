"""What all moves and reads of tasks share: the connection, the settings and the scripts."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from taskline_service.limits import MAX_LINES, MAX_LOST
from taskline_service.store.keys import Keys
from taskline_service.store.records import to_us
from taskline_service.store.redis import Redis

DEFAULT_RESULT_TTL = timedelta(hours=24)
DEFAULT_RECORD_TTL = timedelta(days=7)


def new_call() -> bytes:
    """Tells a call from all others, so that it can be repeated."""
    return secrets.token_bytes(8)


class Scripted:
    """Calls scripts on the tasks of one namespace."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        result_ttl: timedelta = DEFAULT_RESULT_TTL,
        record_ttl: timedelta = DEFAULT_RECORD_TTL,
        max_lost: int = MAX_LOST,
        max_queued: int = 0,
        max_lines: int = MAX_LINES,
    ) -> None:
        self.redis = redis
        self.keys = keys
        self.result_ttl = result_ttl
        self.record_ttl = record_ttl
        # Waiting tasks that a queue may have before it takes no more; 0 for no limit.
        self.max_queued = max_queued
        # Pairs of a task type and a queue that may have tasks: some scripts go through all.
        self.max_lines = max_lines
        self.damage = redis.damage
        # Called when a task was given a time to wait for.
        self.on_scheduled: Callable[[], None] = _nobody
        self._max_lost = max_lost
        self._record_ttl_us = to_us(record_ttl)

    def _told_of(self, damaged: Iterable[bytes]) -> None:
        """Report keys that held up some of the tasks of a call."""
        for key in damaged:
            self.damage.found(f"key {key.decode(errors='replace')}", "it is not of our making")

    async def _script(self, name: str, args: Mapping[str, Any]) -> Any:
        return await self.redis.script(name, self.keys.prefix, dict(args))


def _nobody() -> None:
    """Nobody wants to know."""
