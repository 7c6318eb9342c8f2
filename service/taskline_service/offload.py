"""Keeps long computations off the event loop, so that they hold up nobody else."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

# What takes a few milliseconds; less than that, and a thread costs more than it saves.
LARGE_BYTES = 256 * 1024

_P = ParamSpec("_P")
_R = TypeVar("_R")


async def off_loop(size: int, call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call a pure function that works on `size` bytes; in a thread if those are many."""
    if size <= LARGE_BYTES:
        return call(*args, **kwargs)
    return await asyncio.to_thread(call, *args, **kwargs)
