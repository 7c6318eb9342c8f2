"""Plain functions run in threads, and can be interrupted there."""

import asyncio
import contextvars
import ctypes
import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

# How long an interrupted function may take to end before it is left alone.
INTERRUPT_GRACE_S = 5.0


class Interrupted(BaseException):
    """The task is to stop. Raised inside plain functions, wherever they are in Python code."""


class _Run:
    """One call in a thread of its own: one that does not end can be left behind."""

    def __init__(self, call: Callable[[], Any], name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self._loop.create_future()
        self._call = call
        self._over = False
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()
        self._thread = threading.Thread(target=self._body, name=name, daemon=True)
        self._thread.start()

    def _body(self) -> None:
        result, error = None, None
        try:
            try:
                result = self._context.run(self._call)
            except BaseException as raised:  # what a task raises is its outcome
                error = raised
            with self._lock:
                self._over = True
        except Interrupted as late:  # it was on its way when the call ended
            self._over = True
            error = error or late
        try:
            self._loop.call_soon_threadsafe(self._deliver, result, error)
        except RuntimeError:  # abandoned, and the loop is gone
            log.debug("%s ended after its worker", self._thread.name)

    def _deliver(self, result: Any, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(result)
        elif isinstance(error, StopIteration | KeyboardInterrupt | SystemExit | GeneratorExit):
            # A future cannot carry these, and none of them is to end the worker.
            self.done.set_exception(RuntimeError(f"the task raised {type(error).__name__}"))
        else:
            self.done.set_exception(error)

    def interrupt(self) -> None:
        """Raise Interrupted in the function at its next step of Python code."""
        with self._lock:
            if not self._over and self._thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread.ident), ctypes.py_object(Interrupted)
                )


async def run_in_thread(call: Callable[[], Any], *, name: str) -> Any:
    """Call a plain function in a thread.

    Cancelling interrupts the function. One that does not end within INTERRUPT_GRACE_S, for
    example because it waits in C code, is left behind.
    """
    run = _Run(call, name)
    try:
        return await asyncio.shield(run.done)
    except asyncio.CancelledError:
        if run.done.done():
            raise
        run.interrupt()
        await asyncio.wait([run.done], timeout=INTERRUPT_GRACE_S)
        if not run.done.done():
            log.warning("%s does not stop: its thread is left behind", name)
            run.done.cancel()
        elif not run.done.cancelled() and run.done.exception() is None:
            return run.done.result()  # it finished first
        raise
