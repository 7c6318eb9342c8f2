"""Task types for child processes, which import them from here."""

import asyncio
import ctypes
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from opentelemetry import trace

from taskline_service import TaskContext, TaskFailure, TaskRegistry

tasks = TaskRegistry()


@tasks.task("add", executor="process")
def add(a: int, b: int) -> int:
    return a + b


@tasks.task("add_async", executor="process")
async def add_async(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@tasks.task("pid", executor="process")
def pid() -> int:
    return os.getpid()


@tasks.task("pid_in_worker")
async def pid_in_worker() -> int:
    return os.getpid()


@tasks.task("count", executor="process")
def count(ctx: TaskContext) -> Iterator[int]:
    for number in range(3):
        ctx.progress.increment()
        yield number


@tasks.task("count_async", executor="process")
async def count_async(ctx: TaskContext) -> AsyncIterator[int]:
    for number in range(3):
        await ctx.progress.increment()
        yield number


@tasks.task("about", executor="process")
def about(ctx: TaskContext) -> dict[str, Any]:
    ctx.log("half", percentage=50)
    ctx.progress.set_details({"large": 1 << 70})
    ctx.logger.warning("in the child: %s", "\u2713")
    try:
        raise LookupError("cause")
    except LookupError:
        logging.getLogger("their.logger").exception("with a traceback")
    return {
        "id": ctx.task_id,
        "type": ctx.task_type,
        "attempt": ctx.attempt,
        "worker": ctx.worker,
        "labels": dict(ctx.labels),
    }


@tasks.task("fail", executor="process", max_attempts=1)
def fail() -> None:
    raise TaskFailure("sold out", details={"sku": 1 << 70}, retryable=False)


@tasks.task("wrong", executor="process", max_attempts=1)
def wrong() -> int:
    return object()  # type: ignore[return-value]  # the fault


@tasks.task("die", executor="process")
def die(how: str) -> None:
    if how == "exit":
        os._exit(7)
    ctypes.string_at(0)


@tasks.task("trace_id", executor="process")
def trace_id() -> str:
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


@tasks.task("hold", executor="process")
def hold(ctx: TaskContext, marks: str) -> str:
    """Waits in the kernel, not in Python code."""
    try:
        ctx.progress.increment()
        time.sleep(600)
    finally:
        _mark(marks)
    return "never"


@tasks.task("hold_async", executor="process")
async def hold_async(ctx: TaskContext, marks: str) -> str:
    try:
        await ctx.progress.increment()
        await asyncio.sleep(600)
    finally:
        _mark(marks)
    return "never"


def _mark(marks: str) -> None:
    Path(marks).write_text("tidied up")


def _ignore_everything(ctx: TaskContext) -> None:
    """A loop in C, with every signal that can be blocked blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctx.progress.increment()
    ctypes.CDLL(None).pause()


@tasks.task("ignore", executor="process", max_attempts=1)
def ignore(ctx: TaskContext) -> None:
    while True:
        _ignore_everything(ctx)


@tasks.task(
    "ignore_and_time_out", executor="process", timeout=timedelta(milliseconds=300), max_attempts=1
)
def ignore_and_time_out(ctx: TaskContext) -> None:
    _ignore_everything(ctx)


@tasks.task("extend", executor="process", timeout=timedelta(seconds=1), max_attempts=1)
def extend(ctx: TaskContext) -> str:
    ctx.extend_timeout(timedelta(seconds=30))
    time.sleep(1.5)
    return "had the time"
