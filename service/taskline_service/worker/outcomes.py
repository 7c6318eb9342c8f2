"""Records how attempts ended, as many in one call as ended since the last one."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from taskline_service.errors import StoreDamaged
from taskline_service.store import StoreError, TaskStore
from taskline_service.store.values import Completion, Failure, Verdict
from taskline_service.task import ErrorType, TaskError
from taskline_service.worker.persist import until_stored

log = logging.getLogger(__name__)

Outcome = Completion | Failure
_Waiting = tuple[Outcome, "asyncio.Future[Verdict]"]

_PAUSE_S = 1.0


class OutcomeRecorder:
    """Stores outcomes; whoever hands one in learns what the store said to it.

    One that is held up by a damaged key of the store is kept, and tried again until that is
    mended; it holds up no other.
    """

    def __init__(self, store: TaskStore, *, settled: Callable[[float], None]) -> None:
        """`settled` is told how long the store took, in seconds."""
        self._store = store
        self._settled = settled
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()

    async def record(self, outcome: Outcome) -> Verdict:
        """Store an outcome; waits as long as the store is in trouble, or damaged.

        OK or REPEATED: it is recorded, once. LOST: the task is no longer ours.
        """
        recorded: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._hand_in((outcome, recorded))
        return await recorded

    def _hand_in(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._arrived.set()

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._waiting = self._waiting, []
            if any(isinstance(outcome, Failure) for outcome, _ in batch):
                await asyncio.gather(self._complete(batch), self._fail(batch))
            else:
                await self._complete(batch)

    async def _complete(self, batch: Sequence[_Waiting]) -> None:
        mine = [(o, f) for o, f in batch if isinstance(o, Completion)]
        if not mine:
            return
        try:
            with self._measured():
                verdicts = await self._stored(
                    lambda: self._store.complete([o for o, _ in mine]), len(mine), "results"
                )
        except StoreError as error:
            await self._refused(mine, error)
            return
        self._answer(mine, verdicts)

    async def _fail(self, batch: Sequence[_Waiting]) -> None:
        mine = [(o, f) for o, f in batch if isinstance(o, Failure)]
        if not mine:
            return
        try:
            with self._measured():
                verdicts = await self._stored(
                    lambda: self._store.fail([o for o, _ in mine]), len(mine), "failures"
                )
        except StoreError as error:
            verdicts = _given_up(len(mine), error)
        self._answer(mine, verdicts)

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
        try:
            verdicts = await self._stored(
                lambda: self._store.fail(failures), len(batch), "refused results"
            )
        except StoreError as another:
            verdicts = _given_up(len(batch), another)
        self._answer(batch, verdicts)

    async def _stored(
        self, move: Callable[[], Awaitable[list[Verdict]]], count: int, what: str
    ) -> list[Verdict]:
        try:
            return await until_stored(move, f"{count} {what}", mended=False)
        except StoreDamaged as error:
            self._store.damage.found(f"key {error.key}", error)
            return [Verdict.DAMAGED] * count

    def _answer(self, batch: Sequence[_Waiting], verdicts: Sequence[Verdict]) -> None:
        for waiting, verdict in zip(batch, verdicts, strict=True):
            outcome, recorded = waiting
            if recorded.done():
                continue
            if verdict is Verdict.DAMAGED:
                log.debug("task %s: its outcome waits for a repair", outcome.claim.task_id)
                asyncio.get_running_loop().call_later(_PAUSE_S, self._hand_in, waiting)
            else:
                recorded.set_result(verdict)


def _given_up(count: int, error: StoreError) -> list[Verdict]:
    """Their leases run out, and others get them."""
    log.error("the store refused %d failures: %s", count, error)
    return [Verdict.LOST] * count
