"""Sends the lines that tasks log for those who watch them to the store, every one, in order."""

import asyncio
import functools
import itertools
import threading
from collections import deque

from taskline_service.store import TaskStore
from taskline_service.store.values import LogLine
from taskline_service.task import Claim
from taskline_service.worker.persist import until_stored

# Numbers grow within a task, over its attempts too.
_LINES_PER_ATTEMPT = 1_000_000_000
_LINES_PER_STEP = 100


class LogLineSender:
    """Writes lines as many at once as came in meanwhile, and the last before the task ends."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._counter = itertools.count(1)
        self._waiting: deque[LogLine] = deque()
        self._writing = asyncio.Lock()
        self._arrived = asyncio.Event()

    def log(self, claim: Claim, message: str, percentage: float | None) -> None:
        """Take a line, from any thread."""
        number = claim.attempt * _LINES_PER_ATTEMPT + next(self._counter)
        self._waiting.append(LogLine(claim, number, message, percentage))
        if threading.get_ident() == self._thread:
            self._arrived.set()
        else:
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def finish(self, claim: Claim) -> None:
        """Write what the attempt logged and is not written yet; it is over."""
        async with self._writing:
            waits = any(line.claim is claim for line in self._waiting)
        if waits:
            await self._write_waiting()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        async with self._writing:
            while self._waiting:
                count = min(len(self._waiting), _LINES_PER_STEP)
                step = [self._waiting.popleft() for _ in range(count)]
                # What was stored, or is no longer ours to store, is recognised by the script.
                await until_stored(functools.partial(self._store.log, step), "log lines")
