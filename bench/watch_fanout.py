"""Many watchers on one server: what they cost it, and how soon each hears of something.

    python -m bench.watch_fanout [IDLE] [HOT]

First IDLE watchers (10,000) of as many tasks, that nothing happens to: the memory of the server.
Then HOT watchers (1,000) of one task that reports: the time from the report to each of them, by
the clock of this machine. The server and the clients are processes of their own. Fails if the
server takes 400 MB or more, or the 99th percentile is 250 ms or more.
"""

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc.aio

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_service import TaskContext, TaskRegistry

MOST_MB, MOST_MS = 400, 250
LIMIT_S = 240
WATCHES_PER_CHANNEL = 500
HOT_PROCESSES = 2
REPORTS, PAUSE_S = 20, 0.3

tasks = TaskRegistry()


@tasks.task("bench.hot")
async def hot(ctx: TaskContext) -> None:
    """Reports the time, again and again."""
    for _ in range(REPORTS):
        await asyncio.sleep(PAUSE_S)
        await ctx.progress.set_current(time.time())


@tasks.task("bench.idle")
async def idle() -> None:
    """Is never due."""


async def main(idle_count: int, hot_count: int) -> bool:
    async with asyncio.timeout(LIMIT_S), serving() as (server, address):
        before = memory_mb(server)
        async with watching(address, idle_count) as seconds:
            after = memory_mb(server)
            each = (after - before) * 1024 / max(idle_count, 1)
            print(f"idle: {idle_count} watchers of as many tasks, opened in {seconds:.1f} s")
            print(f"      server {before:.0f} MB before, {after:.0f} MB after: {each:.0f} kB each")
        delays = await hear(address, hot_count)
    of = {name: delays[int(len(delays) * share)] * 1000 for name, share in SHARES.items()}
    print(f"hot:  {hot_count} watchers of one task, {len(delays)} deliveries")
    print("      " + ", ".join(f"{name} {ms:.0f} ms" for name, ms in of.items()))
    return after < MOST_MB and of["p99"] < MOST_MS


SHARES = {"p50": 0.5, "p99": 0.99, "max": 1 - 1e-9}


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[int, str]]:
    """`taskline serve` on an embedded store of its own; its process and its address."""
    with tempfile.TemporaryDirectory(prefix="taskline-bench-") as folder:
        program = (sys.executable, "-m", "taskline_client.cli")
        options = ("--tasks", "bench.watch_fanout:tasks", "--listen", "127.0.0.1:0")
        process = await asyncio.create_subprocess_exec(
            *(*program, "serve", *options, "--data-dir", folder, "--log-level", "warning"),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        try:
            assert process.stdout
            yield process.pid, (await process.stdout.readline()).decode().split()[-1]
        finally:
            process.terminate()
            await process.wait()


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
                entry = request.requests.add(task_type="bench.idle", task_id=task_id)
                entry.delay.FromSeconds(3600)
            await stub.BatchEnqueue(request)
            opened = [stub.Watch(pb.WatchRequest(task_ids=[task_id])) for task_id in ids]
            await asyncio.gather(*(call.read() for call in opened))
            calls += opened
        yield time.monotonic() - started
        for call in calls:
            call.cancel()


async def hear(address: str, count: int) -> list[float]:
    """How long each report took to each watcher, in order of length."""
    async with grpc.aio.insecure_channel(address) as channel:
        request = pb.EnqueueRequest(task_type="bench.hot", task_id="hot")
        request.delay.FromSeconds(10)
        await TaskServiceStub(channel).Enqueue(request)
    share = str(count // HOT_PROCESSES)
    listeners = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.watch_fanout", "--listen-to", address, share),
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(HOT_PROCESSES)
    ]
    outputs = [(await listener.communicate())[0] for listener in listeners]
    return sorted(float(line) for output in outputs for line in output.split())


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
    os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    if sys.argv[1:2] == ["--listen-to"]:
        asyncio.run(listen(sys.argv[2], int(sys.argv[3])))
    else:
        idle_count, hot_count = (*map(int, sys.argv[1:]), *(10_000, 1_000)[len(sys.argv) - 1 :])
        sys.exit(0 if asyncio.run(main(idle_count, hot_count)) else 1)
