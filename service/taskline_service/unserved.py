"""Reports tasks that wait although nobody can run them."""

import asyncio
import logging

from taskline_service.errors import TasklineError
from taskline_service.store import Directory

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0


class UnservedTypes:
    """Warns once of each task type that has waiting tasks and no live worker."""

    def __init__(self, directory: Directory, *, look_every: float = LOOK_EVERY_S) -> None:
        self._directory = directory
        self._look_every = look_every
        self._reported: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._look_every)
            try:
                await self.look()
            except TasklineError as error:
                log.debug("unserved types: %s", error)

    async def look(self) -> None:
        """Look once."""
        unserved = await self._directory.unserved_types()
        for name in sorted(unserved - self._reported):
            log.warning("tasks of type %s wait, and no worker that runs now knows it", name)
        self._reported = unserved
