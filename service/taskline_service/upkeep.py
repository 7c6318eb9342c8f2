"""What must happen to tasks by the clock, in every process and without a leader.

Each step is idempotent and bounded, so any number of processes may take it at once.
"""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from taskline_service.errors import StoreDamaged, StoreUnavailable, TasklineError
from taskline_service.retry import delay_after_loss
from taskline_service.store import TaskStore
from taskline_service.store.values import Upkept
from taskline_service.task import ErrorType, TaskState

log = logging.getLogger(__name__)

# At least this often, as other processes may schedule what this one does not know of.
LONGEST_PAUSE_S = 0.5
SHORTEST_PAUSE_S = 0.005
PAUSE_IN_TROUBLE_S = 1.0
RECLAIMS_PER_PASS = 6
# After an outage: every worker that lives has renewed by then, however long its leases are.
RECLAIM_HOLD = timedelta(seconds=10)


OnFailed = Callable[[str, str, ErrorType], None]


def _uncounted(_task_type: str, _queue: str, _why: ErrorType) -> None:
    """Nobody counts."""


class Upkeep:
    """Promotes, reclaims and expires tasks, and fails those that waited too long."""

    def __init__(
        self, store: TaskStore, *, hold: timedelta = RECLAIM_HOLD, on_failed: OnFailed = _uncounted
    ) -> None:
        """`on_failed` is told the type and queue of each task that fails here, and why."""
        self._partitions = [
            _PartitionUpkeep(
                partition, hold=hold, on_failed=on_failed, passes_per_look=len(store.partitions)
            )
            for partition in store.partitions
        ]

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for partition in self._partitions:
                group.create_task(partition.run())


class _PartitionUpkeep:
    """The upkeep of one partition.

    What other processes schedule is looked for at every so many passes, so that many partitions
    are not as much more work; leases at each.
    """

    def __init__(
        self, store: TaskStore, *, hold: timedelta, on_failed: OnFailed, passes_per_look: int
    ) -> None:
        self._store = store
        self._hold = hold
        self._on_failed = on_failed
        self._passes_per_look = passes_per_look
        self._passes = 0
        # When something is due that is known of (monotonic).
        self._due_at = 0.0
        self._nudged = asyncio.Event()
        # Steps that do not succeed, and were told of.
        self._failing = set[str]()
        # What this process schedules may be due soon.
        store.on_scheduled = self._nudged.set

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            nudged = self._nudged.is_set()
            self._nudged.clear()
            try:
                pause = await self._pass(nudged=nudged)
                self._failing.discard("")
            except StoreUnavailable as error:
                self._tell("", "upkeep waits for the store: %s", error)
                pause = PAUSE_IN_TROUBLE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.8, 1.0)):
                    await self._nudged.wait()

    async def _pass(self, *, nudged: bool) -> float:
        """Do what is due; returns the seconds until something may be due again."""
        looks = self._passes % self._passes_per_look == 0
        self._passes += 1
        if looks or nudged or time.monotonic() >= self._due_at:
            steps: Mapping[str, Callable[[], Awaitable[timedelta | None]]] = {
                "promoting": lambda: self._step(self._store.promote, "promoted"),
                "queue timeouts": lambda: self._step(
                    self._store.queue_timeout, "timed out in the queue"
                ),
                "expiring": lambda: self._step(self._store.expire, "expired"),
            }
            waits = [await self._by_itself(name, step) for name, step in steps.items()]
            known = [wait.total_seconds() for wait in waits if wait is not None]
            self._due_at = time.monotonic() + min(known, default=math.inf)
        again = await self._by_itself("taking back", self._reclaim)
        longest = LONGEST_PAUSE_S if again is None else again.total_seconds()
        return max(SHORTEST_PAUSE_S, min(LONGEST_PAUSE_S, longest, self._due_at - time.monotonic()))

    async def _by_itself(
        self, name: str, step: Callable[[], Awaitable[timedelta | None]]
    ) -> timedelta | None:
        """Take a step; one that fails, later again: whatever it is, the others are taken.

        Raises:
            StoreUnavailable: For all of them.
        """
        try:
            wait = await step()
        except StoreDamaged as error:
            self._store.damage.found(f"key {error.key}" if error.key else f"a key ({name})", error)
        except StoreUnavailable:
            raise
        except TasklineError as error:
            self._tell(name, "upkeep: %s has to wait: %s", name, error)
        except Exception:  # what the store answered: nobody foresaw it, and tasks wait for this
            self._tell(name, "upkeep: %s fails", name, exc_info=True)
        else:
            self._failing.discard(name)
            return wait
        return timedelta(seconds=PAUSE_IN_TROUBLE_S)

    def _tell(self, name: str, text: str, *args: object, exc_info: bool = False) -> None:
        """Once, until the step succeeds; "" for all of them."""
        level = logging.ERROR if exc_info else logging.WARNING
        log.log(logging.DEBUG if name in self._failing else level, text, *args, exc_info=exc_info)
        self._failing.add(name)

    async def _step(self, move: Callable[[], Awaitable[Upkept]], what: str) -> timedelta | None:
        while True:
            upkept = await move()
            for task_type, queue in upkept.failed:
                self._on_failed(task_type, queue, ErrorType.QUEUE_TIMEOUT)
            if upkept.count:
                log.debug("%d tasks %s", upkept.count, what)
            for task_id in upkept.dangling:
                why = "it was due, but its record is no such task"
                self._store.damage.found(f"task {task_id}", why)
            if upkept.wait is None or upkept.wait > timedelta(0):
                return upkept.wait

    async def _reclaim(self) -> timedelta | None:
        """Not all at once, where many were lost: they come again together."""
        for _ in range(RECLAIMS_PER_PASS):
            if not await self._reclaim_some():
                break
        return None

    async def _reclaim_some(self) -> bool:
        taken_back = await self._store.reclaim(retry_delay=delay_after_loss(), hold=self._hold)
        for reclaimed in taken_back:
            log.warning(
                "task %s: taken back from %s, which vanished; now %s",
                reclaimed.task_id,
                reclaimed.worker,
                reclaimed.state,
                extra={
                    "task_id": reclaimed.task_id,
                    "task_type": reclaimed.task_type,
                    "queue": reclaimed.queue,
                    "worker": reclaimed.worker,
                },
            )
            if reclaimed.state is TaskState.FAILED:
                self._on_failed(reclaimed.task_type, reclaimed.queue, ErrorType.WORKER_LOST)
        return bool(taken_back)
