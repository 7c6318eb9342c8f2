"""Records how attempts ended, as many in one call as ended since the last one."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from taskline_service.store import StoreError, TaskStore
from taskline_service.store.values import Completion, Failure, Verdict
from taskline_service.task import ErrorType, TaskError
from taskline_service.worker.persist import until_stored

log = logging.getLogger(__name__)

Outcome = Completion | Failure


class OutcomeRecorder:
    """Stores outcomes; whoever hands one in learns what the store said to it."""

    def __init__(self, store: TaskStore, *, settled: Callable[[float], None]) -> None:
        """`settled` is told how long the store took, in seconds."""
        self._store = store
        self._settled = settled
        self._waiting: list[tuple[Outcome, asyncio.Future[Verdict]]] = []
        self._arrived = asyncio.Event()

    async def record(self, outcome: Outcome) -> Verdict:
        """Store an outcome; waits as long as the store is in trouble.

        OK or REPEATED: it is recorded, once. LOST: the task is no longer ours.
        """
        recorded: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append((outcome, recorded))
        self._arrived.set()
        return await recorded

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._waiting = self._waiting, []
            await asyncio.gather(self._complete(batch), self._fail(batch))

    async def _complete(self, batch: Sequence[tuple[Outcome, asyncio.Future[Verdict]]]) -> None:
        mine = [(o, f) for o, f in batch if isinstance(o, Completion)]
        if not mine:
            return
        try:
            with self._measured():
                verdicts = await until_stored(
                    lambda: self._store.complete([o for o, _ in mine]), f"{len(mine)} results"
                )
        except StoreError as error:
            await self._refused(mine, error)
            return
        _answer(mine, verdicts)

    async def _fail(self, batch: Sequence[tuple[Outcome, asyncio.Future[Verdict]]]) -> None:
        mine = [(o, f) for o, f in batch if isinstance(o, Failure)]
        if not mine:
            return
        try:
            with self._measured():
                verdicts = await until_stored(
                    lambda: self._store.fail([o for o, _ in mine]), f"{len(mine)} failures"
                )
        except StoreError as error:
            log.error("the store refused %d failures: %s", len(mine), error)
            verdicts = [Verdict.LOST] * len(mine)  # their leases run out, and others get them
        _answer(mine, verdicts)

    @contextmanager
    def _measured(self) -> Iterator[None]:
        began_at = time.monotonic()
        yield
        self._settled(time.monotonic() - began_at)

    async def _refused(
        self, batch: Sequence[tuple[Completion, asyncio.Future[Verdict]]], error: StoreError
    ) -> None:
        """The store will not have these results, now or later: say so in their tasks."""
        log.error("the store refused %d results: %s", len(batch), error)
        failure = TaskError(error_type=ErrorType.STORAGE, message=f"result not stored: {error}")
        failures = [Failure(completion.claim, failure, None) for completion, _ in batch]
        verdicts = await until_stored(lambda: self._store.fail(failures), "refused results")
        _answer(batch, verdicts)


def _answer(
    batch: Sequence[tuple[Outcome, asyncio.Future[Verdict]]], verdicts: Sequence[Verdict]
) -> None:
    for (_, recorded), verdict in zip(batch, verdicts, strict=True):
        if not recorded.done():
            recorded.set_result(verdict)
