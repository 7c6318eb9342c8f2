"""A worker process that is stopped for longer than its lease, and comes back."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext
from tests.stack import Stack, divided

_TASKS = """
import asyncio
import sys
from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()

@tasks.task("hold")
async def hold(ctx: TaskContext) -> int:
    try:
        await asyncio.Event().wait()
    finally:
        print(f"interrupted in attempt {ctx.attempt}", file=sys.stderr, flush=True)
    return 1
"""


@asynccontextmanager
async def worker_process(
    stack: Stack, folder: Path, redis_url: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `taskline worker` with a short lease, beside the server of the stack."""
    (folder / "holding_tasks.py").write_text(_TASKS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskline_client.cli", "worker"),
        *("--tasks", "holding_tasks:tasks", "--lease", "1", "--redis-url", redis_url),
        *("--namespace", stack.store.keys.namespace, *divided(stack.store)),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        await process.communicate()


async def test_a_stopped_worker_that_comes_back_is_told_and_drops_its_task(
    stack: Stack, redis_url: str, tmp_path: Path
) -> None:
    @stack.tasks.task("hold")
    async def hold(ctx: TaskContext) -> int:
        return ctx.attempt

    async with worker_process(stack, tmp_path, redis_url) as stopped:
        handle = await stack.client.enqueue("hold")
        await stack.until(handle.id, lambda task: task.state == task_pb2.Task.STATE_RUNNING)
        stopped.send_signal(signal.SIGSTOP)
        async with stack.worker():
            result = await handle.result()
        stopped.send_signal(signal.SIGCONT)
        assert stopped.stderr
        log = [line async for line in _until(stopped.stderr, b"interrupted in attempt 1")]

    answer = await stack.stub.GetResult(pb.GetResultRequest(task_id=handle.id))
    assert result == 2
    assert any(f"{handle.id}: attempt 1 lost its lease".encode() in line for line in log)
    assert answer.result.json.number_value == 2


async def _until(lines: asyncio.StreamReader, words: bytes) -> AsyncIterator[bytes]:
    while line := await lines.readline():
        yield line
        if words in line:
            return
    raise AssertionError(f"the log never said {words!r}")
