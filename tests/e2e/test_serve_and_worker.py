"""A server and the worker beside it, as an operator has them in one terminal."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from taskline_client import ErrorType, TaskClient, TaskState
from taskline_service.store import TaskStore
from tests.stack import divided
from tests.store.making import enqueue

_LIMIT = timedelta(seconds=40)
_ROOT = Path(__file__).parents[2]


class Serve:
    """A `taskline serve` with one worker, and what it logs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines = list[str]()
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def running(
        cls, store: TaskStore, redis_url: str, *options: str, **environment: str
    ) -> AsyncIterator["Serve"]:
        """Until the block ends."""
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("taskline"), "serve", "--listen", "127.0.0.1:0"),
            *("--tasks", "tests.e2e.poison_tasks:tasks", "--workers", "1", "--grace", "1"),
            *("--redis-url", redis_url, "--namespace", store.keys.namespace, *divided(store)),
            *("--log-format", "console", *options),
            cwd=_ROOT,
            env=os.environ | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=2**22,
        )
        try:
            assert process.stdout
            serve = cls(process)
            serve.address = (await process.stdout.readline()).decode().split()[-1]
            yield serve
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()

    async def until_logged(self, pattern: str) -> str:
        """The first line that has it, or the first group of it."""
        while True:
            for line in self.lines:
                if found := re.search(pattern, line):
                    return found[1] if found.groups() else line
            await self.hear()

    async def hear(self) -> None:
        """Wait for one more line."""
        assert self.process.stderr
        async with asyncio.timeout(_LIMIT.total_seconds()):
            line = (await self.process.stderr.readline()).decode()
        assert line, "\n".join(["it ended:", *self.lines])
        self.lines.append(line.rstrip())

    async def end(self) -> None:
        """In order; all that is logged until then is in `lines`."""
        self.process.terminate()
        assert self.process.stderr
        self.lines += (await self.process.stderr.read()).decode().splitlines()
        await self.process.wait()


@pytest.mark.damages_store
async def test_each_line_tells_its_process_and_what_is_damaged_is_counted(
    store: TaskStore, redis_url: str
) -> None:
    await enqueue(store, "bad")
    line = "sleep:default"
    await store.redis.call("HSET", store.keys.prefix + b"t:bad", "st", "SLEEPING", "ln", line)
    await store.redis.call("ZADD", store.keys.prefix + f"q:{line}".encode(), "1", "bad")
    await store.redis.call("ZADD", store.keys.prefix + b"ready", "1", line)
    to_console = {"OTEL_METRICS_EXPORTER": "console", "OTEL_METRIC_EXPORT_INTERVAL": "300"}
    async with Serve.running(store, redis_url, **to_console) as serve:
        told = await serve.until_logged("task bad is damaged")
        while not (counted := _count_in("\n".join(serve.lines))):
            await serve.hear()
        await serve.end()

    ending = [line for line in serve.lines if "SIGTERM: ending in order" in line]
    assert counted == 1
    assert "[worker " in told
    assert len(ending) == 2
    assert any(f" INFO [server {serve.process.pid}] taskline" in line for line in ending)
    assert any(re.search(r" INFO \[worker \S+-\d+-\w{4}\] taskline", line) for line in ending)


async def test_a_worker_that_was_stopped_for_good_is_replaced(
    store: TaskStore, redis_url: str
) -> None:
    async with Serve.running(store, redis_url, "--lease", "1") as serve:
        pid = int(await serve.until_logged(r"worker 1: process (\d+)$"))
        await serve.until_logged(r"\[worker .*: ready$")
        os.kill(pid, signal.SIGSTOP)
        async with TaskClient(serve.address) as client:
            handle = await client.enqueue("pid")
            result = await handle.result(timeout=_LIMIT)
        await serve.until_logged(rf"process {pid} gave no sign of life for 10 s")

    assert result != pid


async def test_a_worker_whose_interpreter_is_held_up_shows_where_and_is_replaced(
    store: TaskStore, redis_url: str
) -> None:
    async with (
        Serve.running(store, redis_url, "--lease", "1", "--max-lost", "1") as serve,
        TaskClient(serve.address) as client,
    ):
        culprit = await client.enqueue("hold_the_interpreter")
        await serve.until_logged("Fatal Python error: Aborted")
        await serve.until_logged("in hold_the_interpreter")
        innocent = await client.enqueue("pid")
        assert await innocent.result(timeout=_LIMIT)
        task = await client.get(culprit.id)

    assert task.state is TaskState.FAILED
    assert task.error is not None and task.error.error_type is ErrorType.WORKER_LOST


def _count_in(text: str) -> int | None:
    """What the metric says in the output of the console exporter."""
    found = re.search(r'"taskline.store.damaged".*?"value": ([1-9]\d*)', text, re.DOTALL)
    return int(found[1]) if found else None
