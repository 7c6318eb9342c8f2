"""What more processes bring: `python -m bench.growth`.

Execution of a full queue by 1, 2 and 4 worker processes; and handing over tasks to 1 and 2 servers
on one store, each with a calling process of its own.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import grpc.aio
import uvloop

from bench.execution import lasted
from bench.figures import Figures, Size, alone
from bench.load import rate
from bench.serving import CONCURRENCY, ROOT, TASKS, Serving, server
from bench.workload import batch, request
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_service.die_with_parent import wrapped
from taskline_service.embedded import join

WORKERS, SERVERS = (1, 2, 4), (1, 2)


async def measure(size: Size) -> Figures:
    """Tasks a second."""
    count = 4_000 if size.quick else 20_000
    found = dict[str, float]()
    for workers in WORKERS:
        found[f"growth: execution, worker processes: {workers}, /s"] = await executed(
            count, workers=workers
        )
    for servers in SERVERS:
        for way, tasks in (("single", count // 4), ("batches", count)):
            found[f"growth: enqueue, {way}, servers: {servers}, tasks/s"] = await handed_over(
                tasks, way=way, servers=servers
            )
    return found


async def executed(count: int, *, workers: int) -> float:
    """By so many worker processes."""
    async with Serving.start("--workers", "0") as serving, AsyncExitStack() as stack:
        ids = await serving.enqueue(count)
        for _ in range(workers):
            await stack.enter_async_context(serving.worker(*CONCURRENCY))
        await serving.ended(ids[-1])
        await serving.all_completed(count)
        return count / await lasted(serving)


async def handed_over(count: int, *, way: str, servers: int) -> float:
    """To so many servers, by as many callers."""
    async with Serving.start("--workers", "0") as serving, AsyncExitStack() as stack:
        store = await join(serving.data_dir)
        others = [
            await stack.enter_async_context(
                server("--tasks", TASKS, "--workers", "0", "--redis-url", store)
            )
            for _ in range(servers - 1)
        ]
        addresses = [serving.address, *(address for _, address in others)]
        share = count // servers
        times = await asyncio.gather(*(_called(address, way, share) for address in addresses))
    began, ended = [list(instants) for instants in zip(*times, strict=True)]
    return share * servers / float(max(ended) - min(began))


async def _called(address: str, way: str, count: int) -> Sequence[float]:
    process = await asyncio.create_subprocess_exec(
        *wrapped(sys.executable, "-m", "bench.growth", "--call", address, way, str(count)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    told: list[float] = json.loads((await process.communicate())[0])
    return told


async def _call(address: str, way: str, count: int) -> None:
    """The calling process: prints when it began and ended."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = TaskServiceStub(channel)

        async def one(number: int) -> None:
            await stub.Enqueue(request(number))

        async def hundred(_: int) -> None:
            await stub.BatchEnqueue(batch(100))

        await rate(20, one, in_flight=1)
        began = time.time()
        if way == "single":
            await rate(count, one, in_flight=100)
        else:
            await rate(count // 100, hundred, in_flight=4)
        print(json.dumps([began, time.time()]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--call"]:
        uvloop.run(_call(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        alone(measure)
