"""Task types that do harm to the worker that runs them, and one that does not."""

import asyncio
import ctypes
import os
import signal
import time
from contextlib import suppress
from datetime import timedelta

from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()


@tasks.task("innocent")
async def innocent() -> str:
    await asyncio.sleep(0.1)
    return "done"


@tasks.task("innocent_plain")
def innocent_plain() -> str:
    time.sleep(0.1)
    return "done"


@tasks.task("exit")
async def exits() -> None:
    os._exit(1)


@tasks.task("segfault")
def segfault() -> None:
    ctypes.string_at(0)


@tasks.task("spin", timeout=timedelta(milliseconds=500), max_attempts=1)
def spin() -> None:
    while True:
        with suppress(BaseException):
            while True:
                pass


@tasks.task("block", timeout=timedelta(milliseconds=500), max_attempts=2)
async def block(ctx: TaskContext) -> None:
    """Holds up the event loop in C code, whatever is raised in it."""
    while True:
        with suppress(BaseException):
            ctypes.CDLL(None).usleep(100_000_000)


@tasks.task("sleep", timeout=timedelta(milliseconds=500), max_attempts=1)
async def sleep() -> None:
    """Holds up the event loop in Python's own code, which lets itself be interrupted."""
    time.sleep(30)  # noqa: ASYNC251 - the very fault


@tasks.task("pid")
async def pid() -> int:
    return os.getpid()


@tasks.task("stubborn")
def stubborn(ctx: TaskContext) -> None:
    ctx.progress.increment()
    while True:
        with suppress(BaseException):
            while True:
                time.sleep(0.01)


@tasks.task("stubborn_child", executor="process")
def stubborn_child(ctx: TaskContext) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctx.progress.increment()
    while True:
        ctypes.CDLL(None).pause()


@tasks.task("hold_the_interpreter", timeout=timedelta(milliseconds=500))
async def hold_the_interpreter() -> None:
    """Code in C that no Python code runs beside."""
    ctypes.PyDLL(None).sleep(300)
