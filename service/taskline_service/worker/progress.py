"""Sends the progress of running tasks to the store, no faster than watchers can use it."""

import asyncio
import logging
import threading

from taskline_service.errors import TasklineError
from taskline_service.store import TaskStore
from taskline_service.store.values import Verdict
from taskline_service.task import Claim, Progress
from taskline_service.worker.persist import unless_refused

log = logging.getLogger(__name__)

INTERVAL_S = 0.02
_PAUSE_IN_TROUBLE_S = 0.5


class ProgressSender:
    """Writes the latest progress of each task: the first report at once, then at most one
    write per 20 ms and task, and the last one before the task ends.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiting: dict[Claim, Progress] = {}
        self._written_at: dict[Claim, float] = {}
        self._writing = asyncio.Lock()
        self._reported = asyncio.Event()

    def report(self, claim: Claim, progress: Progress) -> None:
        """Take the latest progress of a task, from any thread."""
        # Kept here and now: sent through the loop, it could come after a newer one.
        self._waiting[claim] = progress
        if threading.get_ident() == self._thread:
            self._reported.set()
        else:
            self._loop.call_soon_threadsafe(self._reported.set)

    async def finish(self, claim: Claim) -> None:
        """Write what is not written yet; the attempt is over."""
        async with self._writing:  # what is being written must not come after this one
            progress = self._waiting.pop(claim, None)
            self._written_at.pop(claim, None)
        if progress is not None:
            await unless_refused(
                lambda: self._store.report_progress([(claim, progress)]),
                f"task {claim.task_id}: progress",
            )

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._reported.wait()
            self._reported.clear()
            pause = await self._write_due()
            if pause is not None:
                await asyncio.sleep(pause)
                self._reported.set()

    async def _write_due(self) -> float | None:
        """Write what may be written now; returns how long the rest has to wait, None if all is
        written.
        """
        async with self._writing:  # taken within, so that finish() finds it here or written
            return await self._take_and_write()

    async def _take_and_write(self) -> float | None:
        now = self._loop.time()
        waiting = list(self._waiting)  # at one stroke: threads add to it
        due_at = {c: self._written_at.get(c, -INTERVAL_S) + INTERVAL_S for c in waiting}
        due = [(c, self._waiting.pop(c)) for c, at in due_at.items() if at <= now]
        if due:
            for claim, _ in due:
                self._written_at[claim] = now
            try:
                verdicts = await self._store.report_progress(due)
            except TasklineError as error:  # whatever it is, it may pass
                log.debug("progress not stored: %s", error)
                self._put_back(due)
                return _PAUSE_IN_TROUBLE_S
            for (claim, _), verdict in zip(due, verdicts, strict=True):
                if verdict is not Verdict.OK:  # reported after the end: nobody would tidy up
                    self._written_at.pop(claim, None)
        later = [at for at in due_at.values() if at > now]
        # It may have fallen due meanwhile: then it waits no longer, but it is not written yet.
        return max(0.0, min(later) - self._loop.time()) if later else None

    def _put_back(self, reports: list[tuple[Claim, Progress]]) -> None:
        for claim, progress in reports:
            # Unless there is a newer one, or the attempt is over.
            if claim in self._written_at:
                self._waiting.setdefault(claim, progress)
