"""Keeps the leases of running tasks, apart from the code of the tasks.

Renewal has a thread of its own with a connection of its own: task code that blocks the
event loop does not lose its leases, while a process that is stopped does.
"""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

from taskline_service.errors import StoreUnavailable, TasklineError
from taskline_service.store import Directory, Keys, Redis, RedisAddress, TaskStore, answered_by
from taskline_service.store.redis import REPLY_TIMEOUT_S
from taskline_service.store.values import Verdict
from taskline_service.task import Claim

log = logging.getLogger(__name__)

# A claim whose answer was lost costs no more than this; the first renewal makes it a full lease.
LONGEST_FIRST_LEASE = timedelta(seconds=10)
_RENEWALS_PER_LEASE = 3
# Of a lease: a worker that could not renew stops its task this much before it runs out.
_MARGIN = 0.1
_PAUSE_IN_TROUBLE_S = 0.5


class LeaseKeeper:
    """Renews the leases of the claims that it holds.

    Called from the keeper's thread: `on_verdict(claim, verdict)` when a claim is LOST or its
    task is to stop (CANCEL), `on_overdue(claim)` when it could not be renewed in time, so that
    another worker may soon get the task. What is lost or overdue is no longer held.
    """

    def __init__(
        self,
        address: RedisAddress,
        partitions: Sequence[Keys],
        *,
        lease: timedelta,
        on_verdict: Callable[[Claim, Verdict], None],
        on_overdue: Callable[[Claim], None],
        beside: Callable[[Directory], Coroutine[Any, Any, None]],
    ) -> None:
        """`beside` runs in the keeper's thread as well, whatever holds up the worker's loop."""
        self._address = address
        self._partitions = partitions
        self._lease = lease
        self._on_verdict = on_verdict
        self._on_overdue = on_overdue
        self._beside = beside
        # When to stop working on it, unless it is renewed before (monotonic).
        self._overdue_at: dict[Claim, float] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    @property
    def first_lease(self) -> timedelta:
        """How long a lease to claim with."""
        return min(self._lease, LONGEST_FIRST_LEASE)

    @property
    def _regular_pause(self) -> float:
        return self.first_lease.total_seconds() / _RENEWALS_PER_LEASE

    def start(self) -> None:
        """Begin to renew."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; waits for the thread to end."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def hold(self, claims: list[Claim], claimed_at: float) -> None:
        """Renew these from now on; they were asked for at `claimed_at` (monotonic)."""
        overdue_at = _overdue_at(claimed_at, self.first_lease)
        with self._lock:
            self._overdue_at.update((claim, overdue_at) for claim in claims)

    def drop(self, claim: Claim) -> None:
        """Renew it no more."""
        with self._lock:
            self._overdue_at.pop(claim, None)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._keep())

    async def _keep(self) -> None:
        # A connection that has gone silent is replaced in time for another try.
        reply_timeout = min(REPLY_TIMEOUT_S, self._regular_pause)
        stores = [
            TaskStore(
                Redis(
                    self._address,
                    home=keys.prefix,
                    name="taskline-leases",
                    reply_timeout=reply_timeout,
                ),
                keys,
            )
            for keys in self._partitions
        ]
        try:
            async with asyncio.TaskGroup() as group:
                # Workers are known in the first partition.
                directory = Directory(stores[0].redis, stores[0].keys)
                loops = [self._beside(directory), *map(self._renew_again_and_again, stores)]
                tasks = [group.create_task(loop) for loop in loops]
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
        finally:
            for store in stores:
                await store.redis.close()

    async def _renew_again_and_again(self, store: TaskStore) -> None:
        """Those of one partition, whatever becomes of the others."""
        pause, told = self._regular_pause, False
        while True:
            await asyncio.sleep(pause)
            try:
                await self._renew(store)
                pause, told = self._regular_pause, False
            except TasklineError as error:
                log.log(_level(error, told), "leases could not be renewed: %s", error)
                told = True
                self._give_up_overdue(store.keys)
                pause = min(self._regular_pause, _PAUSE_IN_TROUBLE_S, self._time_left(store.keys))

    async def _renew(self, store: TaskStore) -> None:
        with self._lock:
            claims = self._claims_of(store.keys)
        if not claims:
            return
        asked_at = time.monotonic()
        # A store that does not answer is noticed before the first lease runs out.
        with answered_by(self._loop.time() + self._time_left(store.keys)):
            verdicts = await store.renew(claims, lease=self._lease)
        for claim, verdict in zip(claims, verdicts, strict=True):
            self._take(claim, verdict, asked_at)

    def _claims_of(self, keys: Keys) -> list[Claim]:
        return [claim for claim in self._overdue_at if keys.hold(claim.task_id)]

    def _take(self, claim: Claim, verdict: Verdict, asked_at: float) -> None:
        with self._lock:
            if claim not in self._overdue_at:
                return  # it ended meanwhile
            if verdict in (Verdict.LOST, Verdict.REPEATED):
                del self._overdue_at[claim]  # REPEATED: its outcome is recorded already
            else:
                self._overdue_at[claim] = _overdue_at(asked_at, self._lease)
        if verdict in (Verdict.LOST, Verdict.CANCEL):
            self._on_verdict(claim, verdict)

    def _time_left(self, keys: Keys) -> float:
        """Until the first claim is overdue; enough for one try in any case."""
        with self._lock:
            first = min(map(self._overdue_at.__getitem__, self._claims_of(keys)), default=math.inf)
        least = self.first_lease.total_seconds() * _MARGIN / 2
        return min(max(first - time.monotonic(), least), self._lease.total_seconds())

    def _give_up_overdue(self, keys: Keys) -> None:
        """Another worker may get a task whose lease runs out: stop ours before that."""
        now = time.monotonic()
        with self._lock:
            overdue = [claim for claim in self._claims_of(keys) if self._overdue_at[claim] <= now]
            for claim in overdue:
                del self._overdue_at[claim]
        for claim in overdue:
            self._on_overdue(claim)


def _overdue_at(granted_at: float, lease: timedelta) -> float:
    return granted_at + lease.total_seconds() * (1 - _MARGIN)


def _level(error: TasklineError, told: bool) -> int:
    if told:
        return logging.DEBUG
    return logging.WARNING if isinstance(error, StoreUnavailable) else logging.ERROR
