"""What is on the queues, read from the store when metrics are collected: once for each time."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Observation

from taskline_service.errors import TasklineError
from taskline_service.telemetry import names
from taskline_service.telemetry.bounded import queue_of

if TYPE_CHECKING:  # a child process does without the store
    from taskline_service.store import QueueInfo

log = logging.getLogger(__name__)

# Both gauges are of one collection.
_SAME_COLLECTION_S = 1.0
_READ_LIMIT_S = 2.0

Read = Callable[[], Awaitable[Sequence["QueueInfo"]]]


class _Source:
    """Queues that can be read on an event loop, by threads beside it."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._queues: Sequence[QueueInfo] = ()

    def queues(self) -> "Sequence[QueueInfo]":
        """As they are now; none if the store does not tell in time."""
        with self._lock:
            # On the loop itself, nothing can be waited for.
            here = threading.get_ident() == self._thread
            if not here and time.monotonic() - self._read_at > _SAME_COLLECTION_S:
                self._queues = self._fresh()
                self._read_at = time.monotonic()
            return self._queues

    def _fresh(self) -> "Sequence[QueueInfo]":
        try:
            reading = asyncio.run_coroutine_threadsafe(self._within_limit(), self._loop)
            # The loop may stand still.
            return reading.result(timeout=2 * _READ_LIMIT_S)
        except (TasklineError, TimeoutError, CancelledError, RuntimeError) as error:
            log.debug("queues could not be read: %s", error)
            return ()

    async def _within_limit(self) -> "Sequence[QueueInfo]":
        async with asyncio.timeout(_READ_LIMIT_S):
            return await self._read()


_sources: list[_Source] = []


@contextmanager
def observed_queues(read: Read) -> Iterator[None]:
    """Until the block ends, metrics show the queues that `read` gives, on this event loop."""
    source = _Source(read)
    _sources.append(source)
    try:
        yield
    finally:
        _sources.remove(source)


def depths(_options: CallbackOptions) -> Iterator[Observation]:
    """Tasks on each queue, by state."""
    counts = Counter[tuple[str, str]]()
    for queue in _queues():
        (name,) = queue_of(queue.name).values()
        for state in ("queued", "scheduled", "running"):
            counts[name, state] += getattr(queue, state)
    for (name, state), count in counts.items():
        yield Observation(count, {names.MESSAGING_DESTINATION: name, names.TASK_STATE: state})


def oldest_ages(_options: CallbackOptions) -> Iterator[Observation]:
    """For how long the oldest task of each queue has waited."""
    ages = dict[str, float]()
    for queue in _queues():
        (name,) = queue_of(queue.name).values()
        ages[name] = max(ages.get(name, 0.0), queue.oldest_age.total_seconds())
    for name, age in ages.items():
        yield Observation(age, {names.MESSAGING_DESTINATION: name})


def _queues() -> "Iterator[QueueInfo]":
    for source in list(_sources):
        yield from source.queues()
