"""Says that a worker lives and what it runs, and sees to it that its task types stay known.

Called in the thread that renews leases: a worker whose event loop is held up stays listed, with
what it was doing, for as long as it keeps its tasks.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from taskline_service.errors import TasklineError
from taskline_service.store import Directory, WorkerInfo

log = logging.getLogger(__name__)

# The task types of a store that has lost them are known again within five seconds.
HEARTBEAT_EVERY_S = 4.0
HEARTBEAT_TTL = timedelta(seconds=15)
_NEWS_EVERY_S = 0.5


class Heartbeat:
    """The heartbeat of one worker."""

    def __init__(self, about: Callable[[], WorkerInfo], definitions: Mapping[str, bytes]) -> None:
        """`about` says what the worker does, in any thread; `definitions` are its task types."""
        self._about = about
        self._definitions = definitions

    async def run(self, directory: Directory) -> None:
        """Beat now and then, and soon after what the worker does has changed; until cancelled."""
        told, due = None, 0.0
        while True:
            about = self._about()
            if about != told or time.monotonic() >= due:
                try:
                    await self.beat(directory, about)
                except TasklineError as error:
                    log.debug("heartbeat: %s", error)
                told, due = about, time.monotonic() + HEARTBEAT_EVERY_S
            await asyncio.sleep(_NEWS_EVERY_S)

    async def beat(self, directory: Directory, about: WorkerInfo) -> None:
        """Beat once."""
        unknown = await directory.heartbeat(about, ttl=HEARTBEAT_TTL)
        if unknown:
            log.info("task types are published again: the store has lost %d of them", len(unknown))
            await directory.register_types({name: self._definitions[name] for name in unknown})

    async def leave(self, directory: Directory) -> None:
        """Say that the worker is gone."""
        await directory.heartbeat(self._about(), ttl=HEARTBEAT_TTL, leaving=True)
