"""Sends what tasks log and emit to the store: every entry, in order, before the task ends."""

import asyncio
import functools
import itertools
import threading
from collections import deque

from taskline_service.store import TaskStore
from taskline_service.store.values import LogLine, Output
from taskline_service.task import Claim
from taskline_service.worker.persist import unless_refused

# Numbers grow within a task, over its attempts too.
_ENTRIES_PER_ATTEMPT = 1_000_000_000
_ENTRIES_PER_STEP = 100
# Outputs wait for the store when this much of them is on its way.
_ROOM_BYTES = 8 << 20


class StorySender:
    """Writes entries, as many at once as came in meanwhile."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._counter = itertools.count(1)
        self._waiting: deque[LogLine | Output] = deque()
        self._writing = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._written = asyncio.Condition()
        self._waiting_bytes = 0

    def log(self, claim: Claim, message: str, percentage: float | None) -> None:
        """Take a line, from any thread."""
        with self._lock:
            self._append(LogLine(claim, self._number(claim), message, percentage))

    def emit(self, claim: Claim, data: bytes) -> None:
        """Take an output, from any thread; wait for room() before the next."""
        with self._lock:
            self._append(Output(claim, self._number(claim), data))

    async def room(self) -> None:
        """Wait until the store has taken most of what was emitted; let others run in any case."""
        await asyncio.sleep(0)
        async with self._written:
            await self._written.wait_for(lambda: self._waiting_bytes < _ROOM_BYTES)

    async def finish(self, claim: Claim) -> None:
        """Write what the attempt said and is not written yet; it is over."""
        async with self._writing:
            waits = any(entry.claim is claim for entry in list(self._waiting))
        if waits:
            await self._write_waiting()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._write_waiting()

    def _number(self, claim: Claim) -> int:
        return claim.attempt * _ENTRIES_PER_ATTEMPT + next(self._counter)

    def _append(self, entry: LogLine | Output) -> None:
        """Under the lock, so that numbers are in the order of the entries."""
        self._waiting.append(entry)
        self._waiting_bytes += entry.size
        if threading.get_ident() == self._thread:
            self._arrived.set()
        else:
            self._loop.call_soon_threadsafe(self._arrived.set)

    def _take(self) -> list[LogLine | Output]:
        with self._lock:
            count = min(len(self._waiting), _ENTRIES_PER_STEP)
            step = [self._waiting.popleft() for _ in range(count)]
            self._waiting_bytes -= sum(entry.size for entry in step)
        return step

    async def _write_waiting(self) -> None:
        async with self._writing:
            while self._waiting:
                step = self._take()
                # What was stored, or is no longer ours to store, is recognised by the script.
                await unless_refused(functools.partial(self._store.append, step), "log and output")
                async with self._written:
                    self._written.notify_all()
