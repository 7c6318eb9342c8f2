"""The place of plain functions: a thread for each call."""

import asyncio
import concurrent.futures
import contextvars
import ctypes
import functools
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

from taskline_service.execution.call import Ended, LeftBehind
from taskline_service.execution.code import Code
from taskline_service.execution.interrupting import Interrupted
from taskline_service.execution.on_loop import end_with, function_of
from taskline_service.execution.plain import Raised, call_plain
from taskline_service.forked import Contained

log = logging.getLogger(__name__)

# A thread that waits for the store looks up this often, so that it can be interrupted.
_LOOK_UP_S = 0.2

_left_behind: set["_Run"] = set()


async def run_in_thread(code: Code) -> Ended:
    """Run a plain function to its end.

    Cancelling interrupts it at its next step of Python code. Cancelling again leaves it
    behind, for example because it waits in C code.

    Raises:
        LeftBehind: It did not end.
    """
    return await end_with(code, _value_of(code))


async def _value_of(code: Code) -> Any:
    function, loop = await function_of(code), asyncio.get_running_loop()

    def wait_for_room() -> None:
        room = asyncio.run_coroutine_threadsafe(code.reports.room(), loop)
        while not room.done():
            concurrent.futures.wait([room], timeout=_LOOK_UP_S)

    call = functools.partial(call_plain, code, function, wait_for_room=wait_for_room)
    value = await _in_thread(call, name=code.name)
    if isinstance(value, Raised):
        raise value.error
    if not inspect.isawaitable(value):
        return value
    try:
        return await Contained(value)
    finally:
        code.clock.stop()


class _Run:
    """One call in a thread of its own: one that does not end can be left behind."""

    def __init__(self, call: Callable[[], Any], name: str) -> None:
        self._loop = asyncio.get_running_loop()
        # Cancelled if the call was interrupted.
        self.done: asyncio.Future[Any] = self._loop.create_future()
        self._call = call
        self._over = False
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()
        self._name = name
        self._thread = threading.Thread(target=self._body, name=name, daemon=True)
        self._thread.start()

    def _body(self) -> None:
        result, error = None, None
        try:
            try:
                result = self._context.run(self._call)
            except BaseException as raised:  # the outcome of this call, and of nothing else
                error = raised
            with self._lock:
                self._over = True
        except Interrupted as late:  # it was on its way when the call ended
            self._over = True
            error = error or late
        try:
            self._loop.call_soon_threadsafe(self._deliver, result, error)
        except RuntimeError:  # left behind, and the loop is gone
            log.debug("%s ended after its worker", self._name)

    def _deliver(self, result: Any, error: BaseException | None) -> None:
        if self in _left_behind:
            _left_behind.discard(self)
            log.info(
                "%s has ended after all; threads left behind: %d", self._name, len(_left_behind)
            )
        if self.done.done():
            return
        if error is None:
            self.done.set_result(result)
        elif isinstance(error, Interrupted):
            self.done.cancel()
        else:
            self.done.set_exception(error)

    def interrupt(self) -> None:
        """Raise Interrupted in the function at its next step of Python code."""
        with self._lock:
            if not self._over and self._thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread.ident), ctypes.py_object(Interrupted)
                )

    def leave_behind(self) -> None:
        """Wait for it no more."""
        self.done.cancel()
        _left_behind.add(self)
        log.warning("%s does not stop; threads left behind: %d", self._name, len(_left_behind))


async def _in_thread(call: Callable[[], Any], *, name: str) -> Any:
    run = _Run(call, name)
    try:
        return await asyncio.shield(run.done)
    except asyncio.CancelledError:
        if run.done.cancelled():
            raise
        run.interrupt()
    try:
        return await asyncio.shield(run.done)  # unless interrupted: it finished first
    except asyncio.CancelledError:
        if run.done.cancelled():
            raise
        run.leave_behind()
        raise LeftBehind from None
