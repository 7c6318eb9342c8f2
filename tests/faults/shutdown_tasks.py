"""Tasks for the tests of shutdowns."""

import asyncio
import ctypes
import threading
import time
from contextlib import suppress

from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()

_LONG_S = 60


@tasks.task("brief")
async def brief() -> None:
    await asyncio.sleep(0.2)


@tasks.task("held")
async def held(ctx: TaskContext) -> int:
    """The first attempt takes longer than any grace."""
    if ctx.attempt == 1:
        await asyncio.sleep(3)
    return ctx.attempt


@tasks.task("deaf")
async def deaf(ctx: TaskContext) -> int:
    """The first attempt does not stop when it is told to."""
    while ctx.attempt == 1:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    return ctx.attempt


@tasks.task("sleeping")
def sleeping(ctx: TaskContext) -> int:
    """The first attempt waits where no Python code runs."""
    if ctx.attempt == 1:
        time.sleep(_LONG_S)
    return ctx.attempt


@tasks.task("pooled")
async def pooled(ctx: TaskContext) -> int:
    """The first attempt does so in a thread of the event loop's pool."""
    if ctx.attempt == 1:
        await asyncio.to_thread(time.sleep, _LONG_S)
    return ctx.attempt


@tasks.task("forked")
async def forked(ctx: TaskContext) -> int:
    """The first attempt leaves a thread of its own behind, which the interpreter waits for."""
    if ctx.attempt == 1:
        threading.Thread(target=time.sleep, args=(_LONG_S,)).start()
        await asyncio.Event().wait()
    return ctx.attempt


@tasks.task("blocking")
async def blocking(ctx: TaskContext) -> int:
    """The first attempt holds up the event loop."""
    if ctx.attempt == 1:
        time.sleep(_LONG_S)  # noqa: ASYNC251  # that is the point
    return ctx.attempt


@tasks.task("locked")
async def locked(ctx: TaskContext) -> int:
    """So does this one, in C code that no signal interrupts."""
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2 if ctx.attempt == 1 else 1):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
    return ctx.attempt
