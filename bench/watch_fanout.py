"""Many watchers on one server: what they cost it, and how soon each hears of something.

    python -m bench.watch_fanout

First 10,000 watchers of as many tasks, that nothing happens to: the memory of the server. Then
1,000 watchers of one task that reports: the time from the report to each of them, by the clock of
this machine. The server and the clients are processes of their own.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc.aio

from bench.figures import Figures, Size, alone, percentile
from bench.serving import ROOT, Serving
from bench.workload import NOTHING, REPORTING
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub

LIMIT_S = 240
WATCHES_PER_CHANNEL = 500
HOT_PROCESSES = 2
REPORTS, PAUSE_S = 20, 0.3


async def measure(size: Size) -> Figures:
    """The server's memory, and how soon watchers hear of something."""
    idle, hot = (1_000, 200) if size.quick else (10_000, 1_000)
    async with asyncio.timeout(LIMIT_S), Serving.start() as serving:
        before = memory_mb(serving.process)
        async with watching(serving.address, idle) as seconds:
            after = memory_mb(serving.process)
            each = (after - before) * 1024 / idle
            print(f"idle: {idle} watchers of as many tasks, opened in {seconds:.1f} s")
            print(f"      server {before:.0f} MB before, {after:.0f} MB after: {each:.0f} kB each")
        delays = await hear(serving.address, hot)
    print(f"hot:  {hot} watchers of one task, {len(delays)} deliveries")
    return {
        "watch fan-out: server with idle watchers, MB": after,
        "watch fan-out: per watcher, kB": each,
        "watch fan-out: p50, ms": percentile(delays, 0.5) * 1000,
        "watch fan-out: p99, ms": percentile(delays, 0.99) * 1000,
    }


@asynccontextmanager
async def watching(address: str, count: int) -> AsyncIterator[float]:
    """So many watchers that have had their snapshot; how long that took."""
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        calls = []
        for first in range(0, count, WATCHES_PER_CHANNEL):
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = grpc.aio.insecure_channel(address, options=options)
            stub = TaskServiceStub(await stack.enter_async_context(channel))
            ids = [f"idle-{i}" for i in range(first, min(first + WATCHES_PER_CHANNEL, count))]
            request = pb.BatchEnqueueRequest()
            for task_id in ids:
                entry = request.requests.add(task_type=NOTHING, task_id=task_id)
                entry.input.json_bytes = b'{"number":1,"text":""}'
                entry.delay.FromSeconds(3600)
            await stub.BatchEnqueue(request)
            opened = [stub.Watch(pb.WatchRequest(task_ids=[task_id])) for task_id in ids]
            await asyncio.gather(*(call.read() for call in opened))
            calls += opened
        yield time.monotonic() - started
        for call in calls:
            call.cancel()


async def hear(address: str, count: int) -> list[float]:
    """How many seconds each report took to each watcher."""
    async with grpc.aio.insecure_channel(address) as channel:
        request = pb.EnqueueRequest(task_type=REPORTING, task_id="hot")
        request.input.json_bytes = b'{"reports":%d,"pause":%f}' % (REPORTS, PAUSE_S)
        request.delay.FromSeconds(10)
        await TaskServiceStub(channel).Enqueue(request)
    share = str(count // HOT_PROCESSES)
    listeners = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.watch_fanout", "--listen-to", address, share),
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        for _ in range(HOT_PROCESSES)
    ]
    outputs = [(await listener.communicate())[0] for listener in listeners]
    return [float(line) for output in outputs for line in output.split()]


async def listen(address: str, count: int) -> None:
    """The listening process: prints each delay."""
    delays = list[float]()

    async def follow(stub: TaskServiceStub) -> None:
        async for event in stub.Watch(pb.WatchRequest(task_ids=["hot"])):
            now = time.time()
            assert isinstance(event, task_pb2.TaskEvent)
            if event.HasField("progress"):
                delays.append(now - event.progress.current)

    async with asyncio.timeout(LIMIT_S), AsyncExitStack() as stack:
        stubs = list[TaskServiceStub]()
        for _ in range(0, count, WATCHES_PER_CHANNEL):
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = grpc.aio.insecure_channel(address, options=options)
            stubs.append(TaskServiceStub(await stack.enter_async_context(channel)))
        await asyncio.gather(*(follow(stubs[i % len(stubs)]) for i in range(count)))
    print("\n".join(map(str, delays)))


def memory_mb(process: int) -> float:
    """What a process has in memory, without its children."""
    status = Path(f"/proc/{process}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match
    return int(match[1]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--listen-to"]:
        asyncio.run(listen(sys.argv[2], int(sys.argv[3])))
    else:
        alone(measure)
