"""Task types that make copies of the process that runs them, and wait for these to end."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()
LIMIT = timedelta(seconds=20)


def exit_code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def copied(ctx: TaskContext, how: str) -> int:
    """The exit code of a copy, which comes to its end in one of several ways."""
    if pid := os.fork():
        return exit_code_of(pid)
    if how == "exit":
        sys.exit(7)
    elif how == "raise":
        raise ValueError("in the copy")
    elif how == "report":
        ctx.progress.set_message("from the copy")
    elif how == "log":
        ctx.logger.warning("from the copy")
    elif how == "be terminated":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    return -1


def doubled(number: int) -> int:
    return 2 * number


def by_others(how: str) -> Any:
    """What the standard library makes of a copy."""
    fork = multiprocessing.get_context("fork")
    if how == "multiprocessing":
        with fork.Pool(2) as pool:
            return pool.map(doubled, [1, 2, 3])
    if how == "terminate":
        process = fork.Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        process.join()
        return process.exitcode
    code = "print(42)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=partial(os.nice, 1),  # so that it forks
        capture_output=True,
        check=True,
    )
    return int(done.stdout)


@tasks.task("forks.thread", timeout=LIMIT, max_attempts=1)
def in_thread(ctx: TaskContext, how: str) -> int:
    return copied(ctx, how)


@tasks.task("forks.process", executor="process", timeout=LIMIT, max_attempts=1)
def in_process(ctx: TaskContext, how: str) -> int:
    return copied(ctx, how)


@tasks.task("forks.loop", timeout=LIMIT, max_attempts=1)
async def on_loop(ctx: TaskContext, how: str) -> int:
    return await in_coroutine(ctx, how)


@tasks.task("forks.process_loop", executor="process", timeout=LIMIT, max_attempts=1)
async def on_loop_of_process(ctx: TaskContext, how: str) -> int:
    return await in_coroutine(ctx, how)


async def in_coroutine(ctx: TaskContext, how: str) -> int:
    if how == "await":
        if pid := os.fork():
            return await asyncio.to_thread(exit_code_of, pid)
        await asyncio.sleep(60)
    elif how == "of its own":

        async def inner() -> int:
            return await asyncio.to_thread(exit_code_of, pid) if (pid := os.fork()) else 0

        return await asyncio.create_task(inner())
    return copied(ctx, how)


@tasks.task("forks.yields", timeout=LIMIT, max_attempts=1)
def yields() -> Iterator[int]:
    yield 1
    if pid := os.fork():
        yield exit_code_of(pid)
    else:
        yield -1


@tasks.task("others.thread", timeout=LIMIT, max_attempts=1)
def others_in_thread(how: str) -> Any:
    return by_others(how)


@tasks.task("others.process", executor="process", timeout=LIMIT, max_attempts=1)
def others_in_process(how: str) -> Any:
    return by_others(how)


@tasks.task("others.loop", timeout=LIMIT, max_attempts=1)
async def others_on_loop(how: str) -> Any:
    return by_others(how)


@tasks.task("pid")
async def pid_of_worker() -> int:
    return os.getpid()
