"""The place of what needs a process of its own: the children of a worker."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping

from taskline_service.execution.call import Call, Ended, Reports
from taskline_service.execution.child import Child

log = logging.getLogger(__name__)

# What the code of the tasks leaks is given back; starting anew is then hardly noticed.
CALLS_PER_CHILD = 1_000
_PROCESSORS = max(2, os.cpu_count() or 1)
# As many as can be busy at once are worth their memory while there is nothing to do.
KEPT_WARM = _PROCESSORS


class Children:
    """Child processes that run one task each, and are used again."""

    def __init__(self, tasks_at: str, *, trace: Callable[[], Mapping[str, str]]) -> None:
        """Start none before they are needed.

        Args:
            tasks_at: MODULE:ATTRIBUTE of the registry, which a child imports.
            trace: What propagates the trace of the caller.
        """
        self._tasks_at = tasks_at
        self._trace = trace
        # To start is work for a processor: more at once would only hold up the worker.
        self._may_start = asyncio.Semaphore(_PROCESSORS)
        self._living: set[Child] = set()
        self._idle: list[Child] = []
        self._ending: set[asyncio.Task[None]] = set()

    async def run(self, call: Call, reports: Reports) -> Ended:
        """Run the code of a task in a child that may have run others before.

        Raises:
            ChildDied: The child is gone.
            ChildNotStarted: There is none.
        """
        child = self._warm() or await self._started()
        try:
            return await child.run(call, reports, self._trace())
        finally:
            if self._worth_keeping(child):
                self._idle.append(child)
            else:
                self._end(child)

    async def run_alone(self, call: Call, reports: Reports) -> Ended:
        """Run the code of a task in a child that runs nothing else, ever; raises as run()."""
        child = await self._started()
        try:
            return await child.run(call, reports, self._trace())
        finally:
            self._end(child)

    async def close(self) -> None:
        """End them all, and what they run."""
        for child in list(self._living):
            self._end(child)
        if self._ending:
            await asyncio.wait(self._ending)

    async def _started(self) -> Child:
        async with self._may_start:
            child = await Child.start(self._tasks_at)
        self._living.add(child)
        return child

    def _warm(self) -> Child | None:
        """The one that was used last, if it lives."""
        while self._idle:
            child = self._idle.pop()
            if child.reusable:
                return child
            self._end(child)
        return None

    def _worth_keeping(self, child: Child) -> bool:
        return child.reusable and child.calls < CALLS_PER_CHILD and len(self._idle) < KEPT_WARM

    def _end(self, child: Child) -> None:
        if child not in self._living:
            return  # it is ending
        self._living.discard(child)
        ending = asyncio.get_running_loop().create_task(child.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
