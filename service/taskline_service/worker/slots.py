"""How many tasks of a worker are at work, and which only wait for other tasks.

A task that waits for another lends its slot: else a worker full of such tasks would wait for
what only it could run. When its wait is over it comes before tasks that are not yet claimed,
so that never more than so many are at work.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# So many waiting tasks of a worker still let others of their types begin. One that waits
# takes memory, and a thread if it is a plain function.
MOST_WAITING = 1000
# And so many in child processes, which take some 50 MB each: as many as there are slots, and
# up to these where nothing else goes on.
MOST_WAITING_IN_PROCESSES = 20


class Slots:
    """The slots of one worker. Not for other threads."""

    def __init__(self, count: int, *, on_free: Callable[[], None]) -> None:
        self._count = count
        self._on_free = on_free
        self._at_work = 0
        self._coming_back: deque[asyncio.Future[None]] = deque()
        # How many wait, by task type; in child processes, which take far more, apart.
        self._waiting: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}

    @property
    def free(self) -> int:
        """For how many more tasks there is room; below 0 if there are too many."""
        return self._count - self._at_work - len(self._coming_back)

    @property
    def room(self) -> int:
        """How many tasks may begin now."""
        return min(self.free, 1) if self._stands_still else self.free

    @property
    def held_back(self) -> frozenset[str]:
        """Task types of which so many wait that no more should begin."""
        processes = max(self._count, MOST_WAITING_IN_PROCESSES)
        return self._too_many(processes if self._stands_still else self._count)

    @property
    def _stands_still(self) -> bool:
        """Whether what waits may be waiting for just what is held back: one by one they begin."""
        return self._at_work == 0 and bool(self._too_many(self._count))

    def _too_many(self, most_in_processes: int) -> frozenset[str]:
        limits = {False: MOST_WAITING, True: most_in_processes}
        return frozenset(
            task_type
            for in_process, waiting in self._waiting.items()
            if waiting.total() >= limits[in_process]
            for task_type in waiting
        )

    def take(self, count: int) -> None:
        """Take slots; below 0, give back what was taken in vain."""
        self._at_work += count
        self._let_in()

    def give_back(self) -> None:
        """A task is over."""
        self.take(-1)
        if self.free > 0:
            self._on_free()

    def lend(self, task_type: str, *, in_process: bool) -> None:
        """A task begins to wait."""
        self._waiting[in_process][task_type] += 1
        self.give_back()

    def forget(self, task_type: str, *, in_process: bool) -> None:
        """A task that waited does so no longer, and takes no slot."""
        waiting = self._waiting[in_process]
        waiting[task_type] -= 1
        if not waiting[task_type]:
            del waiting[task_type]
        self._on_free()  # others of its type may have been held back

    async def back(self, task_type: str, *, in_process: bool) -> None:
        """Its wait is over: take a slot again, when there is one.

        Cancelled, it takes one at once: the task is about to end.
        """
        self.forget(task_type, in_process=in_process)
        if self.free > 0:
            self._at_work += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._coming_back.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._coming_back:
                self._coming_back.remove(turn)
                self._at_work += 1
            raise

    def _let_in(self) -> None:
        while self._coming_back and self._at_work < self._count:
            self._at_work += 1
            turn = self._coming_back.popleft()
            if not turn.done():  # else it was cancelled just now, and counts all the same
                turn.set_result(None)


class Slot:
    """The slot of one attempt."""

    def __init__(self, slots: Slots, task_type: str, *, in_process: bool) -> None:
        """For a slot that is taken already."""
        self._slots = slots
        self._task_type = task_type
        self._in_process = in_process
        self._held = True
        self._waits = 0
        self._over = False

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Within this block the attempt waits; it may wait for several things at once."""
        self._waits += 1
        self._lend()
        try:
            yield
        finally:
            self._waits -= 1
            if not (self._waits or self._held):
                await self._take_back()

    def end(self) -> None:
        """The attempt is over, whatever it has left behind."""
        self._over = True
        if self._held:
            self._held = False
            self._slots.give_back()

    def _lend(self) -> None:
        if self._held:
            self._held = False
            self._slots.lend(self._task_type, in_process=self._in_process)

    async def _take_back(self) -> None:
        if self._over:
            self._slots.forget(self._task_type, in_process=self._in_process)
            return
        try:
            await self._slots.back(self._task_type, in_process=self._in_process)
        finally:
            self._held = True
            if self._over:
                self.end()
            elif self._waits:  # it waits for something else by now
                self._lend()
