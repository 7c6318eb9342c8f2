"""Where the time of the three main paths goes: `python -m bench.profile [--write]`.

Single calls of Enqueue, execution of a full queue, and end to end by batches. Each process that
takes part is looked at by py-spy, 200 times a second; a function's cost is the time in which it,
and nothing that it called, was executed, for one task. Of the store: what it used of the
processor, and its commands. With --write, the tables are put into docs/benchmarks.md.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import uvloop

from bench.environments import PY_SPY, environment
from bench.figures import written
from bench.load import rate
from bench.page import PROFILES, placed, table
from bench.serving import CONCURRENCY, ROOT, Serving
from bench.workload import batch, request
from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.admin_service_pb2_grpc import AdminServiceStub

PER_SECOND = 200
SHOWN = 10
COMMANDS = 6
_ATTACH_S = 1.5
PAGE = ROOT / "docs" / "benchmarks.md"
# The C code of gRPC and of uvloop has no functions that py-spy sees: it is told by who called it.
# Whoever does nothing but wait is taken for busy now and then, on a busy machine.
WAITS = ("select (selectors.py", "wait (threading.py", "_listen (taskline_service/process.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Of one path: microseconds per task."""

    tasks: int
    # By process and function.
    costs: Mapping[tuple[str, str], float]
    # Of the processor, by process.
    processes: Mapping[str, float]
    store_us: float
    # Calls and microseconds per task, by command of the store.
    commands: Mapping[str, tuple[float, float]]


Drive = Callable[[], Awaitable[int]]


async def enqueue(serving: Serving) -> Profile:
    """Single calls, 100 in flight."""

    async def one(number: int) -> None:
        await serving.stub.Enqueue(request(number))

    async def drive() -> int:
        await rate(15_000, one, in_flight=100)
        return 15_000

    return await profiled(serving, {"server": serving.process, "caller": os.getpid()}, drive)


async def execution(serving: Serving) -> Profile:
    """A full queue, from when it is resumed until it is empty."""
    count = 40_000
    async with grpc.aio.insecure_channel(serving.address) as channel:
        stub = AdminServiceStub(channel)
        await stub.PauseQueue(admin.PauseQueueRequest(queue="default"))
        ids = await serving.enqueue(count)
        async with serving.worker(*CONCURRENCY) as worker:

            async def drive() -> int:
                await stub.ResumeQueue(admin.ResumeQueueRequest(queue="default"))
                await serving.ended(ids[-1])
                return count

            return await profiled(serving, {"worker": worker}, drive)


async def end_to_end(serving: Serving) -> Profile:
    """Batches of 100, each watched until it has all results; 4 callers."""

    async def hundred(_: int) -> None:
        answer = await serving.stub.BatchEnqueue(batch(100))
        watched = pb.WatchRequest(task_ids=[r.task.id for r in answer.responses])
        watched.payload_format = task_pb2.PAYLOAD_FORMAT_JSON_BYTES
        async for _event in serving.stub.Watch(watched):
            pass

    async def drive() -> int:
        await rate(200, hundred, in_flight=4)
        return 20_000

    async with serving.worker(*CONCURRENCY) as worker:
        processes = {"server": serving.process, "worker": worker, "caller": os.getpid()}
        return await profiled(serving, processes, drive)


PATHS = {
    "Single calls of Enqueue, 100 in flight": enqueue,
    "Execution of a full queue": execution,
    "End to end by batches": end_to_end,
}


async def profiled(serving: Serving, processes: Mapping[str, int], drive: Drive) -> Profile:
    """What the processes do while a path is driven."""
    async with AsyncExitStack() as stack:
        samples = {
            name: await stack.enter_async_context(watched(process))
            for name, process in processes.items()
        }
        # It tells nobody when it has attached itself.
        await asyncio.sleep(_ATTACH_S)
        await serving.redis.call(b"CONFIG", b"RESETSTAT")
        used = await serving.store_cpu_us()
        before = {name: cpu_us(process) for name, process in processes.items()}
        tasks = await drive()
        used = await serving.store_cpu_us() - used
        each = {
            name: (cpu_us(process) - before[name]) / tasks for name, process in processes.items()
        }
        commands = await serving.info("commandstats")
    us = 1e6 / PER_SECOND / tasks
    return Profile(
        tasks=tasks,
        costs={
            (name, function): count * us
            for name, found in samples.items()
            for function, count in found.items()
        },
        processes=each,
        store_us=used / tasks,
        commands={
            name.removeprefix("cmdstat_"): per_task(calls_and_us(told), tasks)
            for name, told in commands.items()
        },
    )


@asynccontextmanager
async def watched(process: int) -> AsyncIterator[Counter[str]]:
    """How often a process was met in each function; filled at the end of the block."""
    found = Counter[str]()
    py_spy = environment("tools", [PY_SPY]) / "py-spy"
    with tempfile.TemporaryDirectory(prefix="taskline-bench-") as folder:
        stacks = Path(folder) / "stacks"
        options = ("--format", "raw", "--rate", str(PER_SECOND), "--output", str(stacks))
        spy = await asyncio.create_subprocess_exec(
            *(str(py_spy), "record", "--pid", str(process), "--duration", "600", *options),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        yield found
        spy.send_signal(signal.SIGINT)
        assert await spy.wait() == 0
        found.update(innermost(stacks.read_text().splitlines()))


def cpu_us(process: int) -> float:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e6


def innermost(stacks: Iterable[str]) -> Counter[str]:
    """From stacks as `outer;inner COUNT`: how often each function was the innermost one."""
    found = Counter[str]()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        # The line within the function says more than is wanted.
        function = stack.rpartition(";")[2].rpartition(":")[0]
        if not function.endswith(WAITS):
            found[function + ")"] += int(count)
    return found


def calls_and_us(told: str) -> tuple[int, int]:
    """From what the store tells of a command."""
    fields = dict(part.split("=") for part in told.split(","))
    return int(fields["calls"]), int(fields["usec"])


def per_task(found: tuple[int, int], tasks: int) -> tuple[float, float]:
    """Both of them."""
    calls, us = found
    return calls / tasks, us / tasks


def largest(profile: Profile) -> str:
    """The largest costs, the store's among them."""
    costs = {(name, f"`{what}`"): us for (name, what), us in profile.costs.items()}
    costs["store", "everything it does"] = profile.store_us
    rows = sorted(costs.items(), key=lambda item: -item[1])[:SHOWN]
    return table(
        ("what", "process", "µs per task"),
        [(what, process, written(us)) for (process, what), us in rows],
    )


def commands(profile: Profile) -> str:
    """The store's own commands; what is called by a script is in its time, too."""
    rows = sorted(profile.commands.items(), key=lambda item: -item[1][1])[:COMMANDS]
    return table(
        ("command of the store", "calls per task", "µs per task"),
        [(f"`{name}`", written(calls), written(us)) for name, (calls, us) in rows],
    )


def told(name: str, profile: Profile) -> str:
    """A section of the page."""
    each = [*profile.processes.items(), ("store", profile.store_us)]
    sums = ", ".join(f"{process} {written(us)} µs" for process, us in each)
    lines = [f"### {name}", f"Used of the processors for each of {profile.tasks:,} tasks: {sums}."]
    return "\n\n".join([*lines, largest(profile), commands(profile)])


async def main(*, write: bool) -> None:
    """Print a section for each path."""
    sections = list[str]()
    for name, path in PATHS.items():
        async with Serving.start("--workers", "0") as serving:
            sections.append(told(name, await path(serving)))
            print(sections[-1], end="\n\n", flush=True)
    if write:
        text = placed(PAGE.read_text("utf-8"), PROFILES, "\n\n".join(sections))
        PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    uvloop.run(main(write="--write" in sys.argv))
