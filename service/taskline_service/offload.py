"""Keeps long computations off the event loop, so that they hold up nobody else."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

# What takes a few milliseconds; less than that, and a thread costs more than it saves.
LARGE_BYTES = 256 * 1024

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _Thread:
    """One thread for all: only one can compute at a time anyway.

    The event loop gets every second turn then. Beside six threads it gets so few that it does not
    hear for seconds what the store has answered.
    """

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # a copy of the process has no threads

    def _begin(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="taskline-offload")

    async def run(self, call: Callable[[], _R]) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)


_thread = _Thread()


async def off_loop(size: int, call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call a pure function that works on `size` bytes; in a thread if those are many."""
    if size <= LARGE_BYTES:
        return call(*args, **kwargs)
    return await in_thread(call, *args, **kwargs)


async def in_thread(call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call a pure function that takes long; others that do wait for it."""
    return await _thread.run(partial(call, *args, **kwargs))
