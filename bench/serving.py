"""Taskline as it is started by anybody, each time with a store of its own that keeps its data.

`taskline serve` with its embedded store, and `taskline worker` beside it, are processes of their
own; options are the defaults, but for those that a measurement names.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc.aio

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_service.die_with_parent import wrapped
from taskline_service.embedded import join
from taskline_service.store import Redis, parse_redis_url

ROOT = Path(__file__).parent.parent
TASKS = "bench.workload:tasks"
# As many at once as the peers are given.
CONCURRENCY = ("--concurrency", "100")
_POLL_S = 0.02


@dataclass(slots=True, kw_only=True)
class Serving:
    """A server, with a channel to it and a connection to its store."""

    process: int
    address: str
    data_dir: Path
    stub: TaskServiceStub
    redis: Redis

    @classmethod
    @asynccontextmanager
    async def start(cls, *options: str, tasks: str = TASKS) -> AsyncIterator[Self]:
        """`taskline serve` until the block ends."""
        with tempfile.TemporaryDirectory(prefix="taskline-bench-") as folder:
            mine = ("--tasks", tasks, "--data-dir", folder)
            async with server(*mine, *options) as (process, address):
                redis = Redis(parse_redis_url(await join(Path(folder))))
                async with grpc.aio.insecure_channel(address) as channel, redis:
                    yield cls(
                        process=process,
                        address=address,
                        data_dir=Path(folder),
                        stub=TaskServiceStub(channel),
                        redis=redis,
                    )

    @asynccontextmanager
    async def worker(self, *options: str) -> AsyncIterator[int]:
        """`taskline worker` until the block ends; its process."""
        mine = ("worker", "--tasks", TASKS, "--data-dir", str(self.data_dir))
        async with _taskline(*mine, *options) as process:
            yield process.pid

    async def ended(self, task_id: str) -> None:
        """Wait until a task has ended."""
        request = pb.GetResultRequest(task_id=task_id, wait=True)
        request.payload_format = task_pb2.PAYLOAD_FORMAT_JSON_BYTES
        answer = await self.stub.GetResult(request)
        assert answer.HasField("result"), answer

    async def all_completed(self, count: int) -> None:
        """Wait until so many tasks have been completed, without being much work."""
        while await self.completed() < count:  # noqa: ASYNC110  # it is another process
            await asyncio.sleep(_POLL_S)

    async def completed(self) -> int:
        """How many tasks have been completed."""
        stats = await self.stub.GetStats(pb.GetStatsRequest())
        completed = (s for s in stats.states if s.state == task_pb2.Task.STATE_COMPLETED)
        return next((state.count for state in completed), 0)

    async def enqueue(self, count: int, *, per_call: int = 100) -> list[str]:
        """Hand over so many tasks as fast as may be; their ids."""
        from bench.workload import batch

        calls = [self.stub.BatchEnqueue(batch(per_call)) for _ in range(count // per_call)]
        answers = [await call for call in calls]
        return [response.task.id for answer in answers for response in answer.responses]

    async def info(self, section: str) -> dict[str, str]:
        """What the store tells about itself."""
        text = (await self.redis.call(b"INFO", section)).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    async def store_cpu_us(self) -> float:
        """What the store has used of the processor so far."""
        info = await self.info("cpu")
        return (float(info["used_cpu_user"]) + float(info["used_cpu_sys"])) * 1e6


@asynccontextmanager
async def server(*options: str) -> AsyncIterator[tuple[int, str]]:
    """A `taskline serve` on a free port until the block ends; its process and its address."""
    async with _taskline("serve", "--listen", "127.0.0.1:0", *options) as process:
        assert process.stdout
        yield process.pid, (await process.stdout.readline()).decode().split()[-1]


@asynccontextmanager
async def _taskline(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    program = (sys.executable, "-m", "taskline_client.cli")
    process = await asyncio.create_subprocess_exec(
        *wrapped(*program, *command, "--log-level", "warning"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()
