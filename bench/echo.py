"""The limits of gRPC in Python: a server that only answers: `python -m bench.echo`.

Requests and answers are those of Enqueue and BatchEnqueue, of the same size, and made anew each
time; nothing is checked and nothing is stored.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import uvloop

from bench.figures import Figures, Size, alone, percentile
from bench.load import rate, times_ms
from bench.progress import PAUSE_S
from bench.serving import ROOT
from bench.workload import batch, request
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import (
    TaskServiceServicer,
    TaskServiceStub,
    add_TaskServiceServicer_to_server,
)
from taskline_service.die_with_parent import wrapped
from taskline_service.ids import new_id


class _Echo(TaskServiceServicer):
    """Answers as if a task had been stored."""

    async def Enqueue(self, request: pb.EnqueueRequest, context: Any) -> pb.EnqueueResponse:
        return _answer(request)

    async def BatchEnqueue(
        self, request: pb.BatchEnqueueRequest, context: Any
    ) -> pb.BatchEnqueueResponse:
        return pb.BatchEnqueueResponse(responses=map(_answer, request.requests))


def _answer(request: pb.EnqueueRequest) -> pb.EnqueueResponse:
    task_id = new_id()
    task = task_pb2.Task(
        id=task_id,
        uid=task_id,
        task_type=request.task_type,
        queue="default",
        state=task_pb2.Task.STATE_QUEUED,
        max_attempts=1,
    )
    for time in (task.create_time, task.schedule_time, task.update_time):
        time.GetCurrentTime()
    return pb.EnqueueResponse(task=task, created=True)


async def measure(size: Size) -> Figures:
    """Calls a second, and the time of one."""
    count = 2_000 if size.quick else 8_000
    async with _echoing() as stub:

        async def one(number: int) -> None:
            await stub.Enqueue(request(number))

        async def hundred(_: int) -> None:
            await stub.BatchEnqueue(batch(100))

        await rate(200, one, in_flight=10)
        alone = await times_ms(500, one)
        rested = await times_ms(20, one, pause=PAUSE_S)
        return {
            "echo: 1 in flight, p50, ms": percentile(alone, 0.5),
            "echo: 1 in flight, p99, ms": percentile(alone, 0.99),
            "echo: after a pause, p50, ms": percentile(rested, 0.5),
            "echo: 1 in flight, /s": 1000 * len(alone) / sum(alone),
            "echo: 100 in flight, /s": await rate(count, one, in_flight=100),
            "echo: batches of 100, 4 in flight, tasks/s": 100
            * await rate(count // 20, hundred, in_flight=4),
        }


@asynccontextmanager
async def _echoing() -> AsyncIterator[TaskServiceStub]:
    process = await asyncio.create_subprocess_exec(
        *wrapped(sys.executable, "-m", "bench.echo", "--serve"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout
        address = (await process.stdout.readline()).decode().strip()
        async with grpc.aio.insecure_channel(address) as channel:
            yield TaskServiceStub(channel)
    finally:
        process.terminate()
        await process.wait()


async def _serve() -> None:
    server = grpc.aio.server()
    # The other methods answer that they are not there.
    add_TaskServiceServicer_to_server(_Echo(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        uvloop.run(_serve())
    else:
        alone(measure)
