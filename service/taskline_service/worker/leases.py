"""Keeps the leases of running tasks, apart from the code of the tasks.

Renewal has a thread of its own with a connection of its own: task code that blocks the
event loop does not lose its leases, while a process that is stopped does.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from taskline_service.errors import StoreUnavailable, TasklineError
from taskline_service.store import Keys, Redis, RedisAddress, TaskStore
from taskline_service.store.values import Verdict
from taskline_service.task import Claim

log = logging.getLogger(__name__)

# A claim whose answer was lost costs no more than this; the first renewal makes it a full lease.
LONGEST_FIRST_LEASE = timedelta(seconds=10)
_RENEWALS_PER_LEASE = 3
# Of the lease: a worker that could not renew stops its task this much before it runs out.
_MARGIN = 0.1


class LeaseKeeper:
    """Renews the leases of the claims that it holds.

    `on_verdict(claim, verdict)` is called, from the keeper's thread, when a claim is LOST or
    its task is to stop (CANCEL).
    """

    def __init__(
        self,
        address: RedisAddress,
        keys: Keys,
        *,
        lease: timedelta,
        on_verdict: Callable[[Claim, Verdict], None],
    ) -> None:
        self._address = address
        self._keys = keys
        self._lease = lease
        self._on_verdict = on_verdict
        self._good_until: dict[Claim, float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    @property
    def first_lease(self) -> timedelta:
        """How long a lease to claim with."""
        return min(self._lease, LONGEST_FIRST_LEASE)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; waits for the thread to end."""
        self._stopping.set()
        self._thread.join()

    def hold(self, claims: list[Claim], claimed_at: float) -> None:
        """Renew these from now on; they were asked for at `claimed_at` (monotonic)."""
        until = claimed_at + self.first_lease.total_seconds()
        with self._lock:
            self._good_until.update((claim, until) for claim in claims)

    def drop(self, claim: Claim) -> None:
        """Renew it no more."""
        with self._lock:
            self._good_until.pop(claim, None)

    def _run(self) -> None:
        redis = Redis(self._address, name="taskline-leases")
        store = TaskStore(redis, self._keys)
        pause = self.first_lease.total_seconds() / _RENEWALS_PER_LEASE
        with asyncio.Runner() as runner:
            while not self._stopping.wait(pause):
                runner.run(self._renew(store))
            runner.run(redis.close())

    async def _renew(self, store: TaskStore) -> None:
        with self._lock:
            claims = list(self._good_until)
        if not claims:
            return
        asked_at = time.monotonic()
        try:
            verdicts = await store.renew(claims, lease=self._lease)
        except TasklineError as error:
            level = logging.WARNING if isinstance(error, StoreUnavailable) else logging.ERROR
            log.log(level, "leases could not be renewed: %s", error)
            self._give_up_overdue()
            return
        for claim, verdict in zip(claims, verdicts, strict=True):
            self._take(claim, verdict, asked_at)

    def _take(self, claim: Claim, verdict: Verdict, asked_at: float) -> None:
        with self._lock:
            if claim not in self._good_until:
                return  # it ended meanwhile
            if verdict in (Verdict.LOST, Verdict.REPEATED):
                del self._good_until[claim]  # REPEATED: its outcome is recorded already
            else:
                self._good_until[claim] = asked_at + self._lease.total_seconds()
        if verdict in (Verdict.LOST, Verdict.CANCEL):
            self._on_verdict(claim, verdict)

    def _give_up_overdue(self) -> None:
        """Another worker may get a task whose lease runs out: stop ours before that."""
        overdue_from = time.monotonic() + self._lease.total_seconds() * _MARGIN
        with self._lock:
            overdue = [c for c, until in self._good_until.items() if until < overdue_from]
            for claim in overdue:
                del self._good_until[claim]
        for claim in overdue:
            self._on_verdict(claim, Verdict.LOST)
