"""Single tasks that come at about the same time, accepted in one call of the script."""

import asyncio

from taskline_service.store.accepting import Accepting
from taskline_service.store.chunks import ENQUEUES_PER_CALL
from taskline_service.store.redis import answered_by, before_patience_ends
from taskline_service.store.values import Enqueued, NewTask

# At most one call in this time. Callers over a network come one per turn of the event loop: each
# would else be a call of its own, and wake workers and watchers by itself.
_PACE_S = 0.001
# So many calls at a time: the longer the store takes, the more come together.
_CALLS_AT_ONCE = 2

_Waiting = dict[str, tuple[NewTask, "asyncio.Future[Enqueued]"]]


class Folding:
    """Accepts single tasks: at once when there is little to do, otherwise together."""

    def __init__(self, store: Accepting) -> None:
        self._store = store
        self._waiting: _Waiting = {}
        self._next: asyncio.TimerHandle | None = None
        self._called_at = 0.0
        self._calls = set[asyncio.Task[None]]()

    async def enqueue(self, new: NewTask) -> Enqueued:
        """Accept a task, or refuse it: whatever becomes of those that come with it.

        Raises:
            TasklineError: As TaskStore.enqueue.
        """
        # A call is checked before it is written: what names the same task goes into the next.
        while earlier := self._waiting.get(new.spec.id):
            await asyncio.wait([earlier[1]])
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Enqueued] = loop.create_future()
        self._waiting[new.spec.id] = new, outcome
        if len(self._waiting) >= ENQUEUES_PER_CALL:
            self._call()
        else:
            self._call_soon()
        return await before_patience_ends(outcome)

    def _call_soon(self) -> None:
        if self._waiting and self._next is None and len(self._calls) < _CALLS_AT_ONCE:
            loop = asyncio.get_running_loop()
            self._next = loop.call_at(self._called_at + _PACE_S, self._call)

    def _call(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._called_at = asyncio.get_running_loop().time()
        with answered_by(None):  # each waits only as long as its own caller does
            call = asyncio.create_task(self._enqueue(waiting), name="enqueue")
        self._calls.add(call)
        call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._call_soon()

    async def _enqueue(self, waiting: _Waiting) -> None:
        news = [new for new, _ in waiting.values()]
        futures = [future for _, future in waiting.values()]
        try:
            outcomes = await self._store.enqueue(news, partial=True)
        except Exception as error:  # whatever it is, it is told to those who wait
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, outcome in zip(futures, outcomes, strict=True):
            if not future.done():  # its caller was cancelled
                future.set_result(outcome)
