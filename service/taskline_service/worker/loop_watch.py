"""Notices when the event loop stands still: tells which task holds it up, and ends that task.

Has a thread of its own, since nothing on the loop could.
"""

import asyncio
import contextvars
import faulthandler
import gc
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any

from taskline_service.execution.interrupting import main_thread_interrupts
from taskline_service.worker.attempt import INTERRUPT_GRACE_S, Attempt, StopReason, attempt_in

log = logging.getLogger(__name__)

# A task that awaits lets the others run within milliseconds; this is worth a word.
TOLD_AFTER_S = 1.0
LOOK_EVERY_S = 0.25


class _Block:
    """One time that the loop does not answer."""

    def __init__(self, task: "asyncio.Task[Any] | None") -> None:
        self.task = task
        self.since = time.monotonic()
        self.attempt = attempt_in(_context_of(task)) if task is not None else None
        self.told = False
        # Whether the task is to end now, has had the exception, and ignored it.
        self.to_end = False
        self.interrupted = False
        self.given_up = False


class LoopWatch:
    """Watches the event loop of the present thread from start() to stop()."""

    def __init__(
        self, *, give_up: Callable[[Attempt], None], standstill_limit: float | None = None
    ) -> None:
        """Prepare to watch.

        Args:
            give_up: Called, in the watch's thread, with an attempt that holds up the loop
                although it should have ended, and was interrupted in vain.
            standstill_limit: After so many seconds in which no Python code could run at all,
                not even this watch, the process ends: code in C holds the interpreter. None
                for never.
        """
        self._give_up = give_up
        self._standstill_limit = standstill_limit
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopping = threading.Event()
        self._answered = threading.Event()
        self._block: _Block | None = None
        # Raises Interrupted in the code that holds up the loop.
        self._interrupt: Callable[[], None] | None = None
        self._handlers = ExitStack()
        self._thread = threading.Thread(target=self._run, name="loop-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        if threading.current_thread() is threading.main_thread():
            self._interrupt = self._handlers.enter_context(main_thread_interrupts(self._meant))
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; waits for the thread to end."""
        self._stopping.set()
        self._thread.join()
        self._handlers.close()

    def _meant(self) -> bool:
        """In the main thread: whether what is to be interrupted is what runs; once."""
        block = self._block
        if block is None or not block.to_end or block.interrupted:
            return False
        block.interrupted = block.task is asyncio.current_task(self._loop)
        return block.interrupted

    def _run(self) -> None:
        self._answered.set()
        while not self._stopping.wait(LOOK_EVERY_S):
            self._postpone_the_end()
            if self._answered.is_set():
                self._block = None
                self._answered.clear()
                self._loop.call_soon_threadsafe(self._answered.set)
                continue
            task = asyncio.current_task(self._loop)
            if self._block is None or self._block.task is not task:
                self._block = _Block(task)
            self._judge(self._block)
        if self._standstill_limit is not None:
            faulthandler.cancel_dump_traceback_later()

    def _postpone_the_end(self) -> None:
        if self._standstill_limit is not None:
            # Needs no interpreter: it shows what all threads do, and ends the process.
            faulthandler.dump_traceback_later(self._standstill_limit, exit=True)

    def _judge(self, block: _Block) -> None:
        lasts = time.monotonic() - block.since
        if lasts >= TOLD_AFTER_S and not block.told:
            block.told = True
            log.warning(
                "the event loop stands still for %.1f s because of %s, in %s",
                lasts,
                _about(block.attempt),
                self._where(),
                extra=block.attempt.about if block.attempt is not None else None,
            )
        if block.attempt is not None and block.attempt.overdue > 0:
            self._end(block, block.attempt)

    def _end(self, block: _Block, attempt: Attempt) -> None:
        """End what should have ended, first by an exception."""
        if not block.to_end:
            block.to_end = True
            attempt.stop(StopReason.TIMEOUT)  # unless it is to stop for another reason
            log.warning(
                "%s holds up the event loop: it is interrupted",
                _about(attempt),
                extra=attempt.about,
            )
        if self._interrupt is not None and not block.interrupted:
            # At each look: a signal that comes just before a system call does not interrupt it.
            self._interrupt()
        if attempt.overdue > INTERRUPT_GRACE_S and not block.given_up:
            block.given_up = True
            self._give_up(attempt)

    def _where(self) -> str:
        """Where the code is now."""
        frame: FrameType | None = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return "an unknown place"
        return f"{frame.f_code.co_filename}, line {frame.f_lineno} ({frame.f_code.co_name})"


def _about(attempt: Attempt | None) -> str:
    if attempt is None:
        return "no task"
    return f"task {attempt.claim.task_id} ({attempt.claim.spec.task_type})"


def _context_of(task: "asyncio.Task[Any]") -> contextvars.Context:
    """What Task.get_context() of Python 3.12 returns."""
    if sys.version_info >= (3, 12):
        return task.get_context()
    referents = gc.get_referents(task)
    return next((r for r in referents if isinstance(r, contextvars.Context)), contextvars.Context())
