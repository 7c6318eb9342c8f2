"""The tasks of the chaos run: each says in the ledger when an attempt starts and when it ends."""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

from taskline_service import TaskContext, TaskRegistry

LEDGER = "TASKLINE_CHAOS_LEDGER"

tasks = TaskRegistry()


class Broken(Exception):
    """What tasks fail with that are meant to."""


def note(what: str, ctx: TaskContext) -> None:
    """One line of the ledger; lines of many processes do not mix (O_APPEND)."""
    ledger = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, f"{what} {ctx.task_id} {ctx.attempt} {os.getpid()}\n".encode())
    finally:
        os.close(ledger)


def executions(ledger: Path) -> dict[str, set[int]]:
    """The attempts that came to their end, by task."""
    ended = dict[str, set[int]]()
    for line in ledger.read_text().splitlines() if ledger.exists() else ():
        what, task_id, attempt, _ = line.split()
        if what == "end":
            ended.setdefault(task_id, set()).add(int(attempt))
    return ended


def answer(number: int, ctx: TaskContext) -> dict[str, Any]:
    """What tells from which attempt a result came."""
    note("end", ctx)
    return {"number": number, "attempt": ctx.attempt}


@tasks.task("chaos.quick")
async def quick(number: int, ctx: TaskContext) -> dict[str, Any]:
    """Ends at once."""
    note("start", ctx)
    return answer(number, ctx)


@tasks.task("chaos.slow")
async def slow(number: int, ctx: TaskContext) -> dict[str, Any]:
    """Takes up to half a second, and reports."""
    note("start", ctx)
    await ctx.progress.set_total(5)
    for _ in range(5):
        await asyncio.sleep(random.uniform(0, 0.1))
        await ctx.progress.increment()
    await ctx.log("done with it")
    return answer(number, ctx)


@tasks.task("chaos.thread")
def thread(number: int, ctx: TaskContext) -> dict[str, Any]:
    """A plain function."""
    note("start", ctx)
    time.sleep(random.uniform(0, 0.1))
    return answer(number, ctx)


@tasks.task("chaos.flaky")
async def flaky(number: int, ctx: TaskContext) -> dict[str, Any]:
    """Fails at first."""
    note("start", ctx)
    if ctx.attempt == 1:
        raise Broken("not at the first attempt")
    return answer(number, ctx)


@tasks.task("chaos.failing", max_attempts=2)
async def failing(number: int, ctx: TaskContext) -> None:
    """Fails for good."""
    note("start", ctx)
    raise Broken(f"number {number}")


@tasks.task("chaos.pill")
async def pill(number: int, ctx: TaskContext) -> None:
    """Kills the process that executes it."""
    note("start", ctx)
    os._exit(number % 2)
