"""What another system does with the same tasks: `python -m bench.peer NAME`.

On a store as `taskline serve` brings it along, which keeps its data; the peer's worker and the
program that hands over tasks are processes of their own, in an environment of their own.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.environments import environment, peers
from bench.figures import MANY, Figures, Size, percentile, written
from bench.marks import of_peer
from bench.serving import ROOT
from taskline_service.die_with_parent import wrapped
from taskline_service.embedded import EmbeddedStore
from taskline_service.store import Redis, parse_redis_url

_LIMIT_S = 120
_BY_DEFAULT = 300


async def measure(name: str, size: Size, *, by_default: bool = False) -> Figures:
    """Its figures; `by_default`, only of execution as it comes."""
    async with asyncio.timeout(_LIMIT_S), _Running.start(name) as running:
        if by_default:
            found = {"execution: default settings, /s": await _executed(running, _BY_DEFAULT, True)}
        else:
            found = dict(await _all(running, 1_000 if size.quick else 4_000))
    return {of_peer(figure, name): value for figure, value in found.items()}


async def _all(running: "_Running", count: int) -> Figures:
    found = {"enqueue: 100 in flight, /s": count / await running.ask("enqueue", count)}
    await running.redis.call(b"FLUSHALL")
    if took := await running.ask("batch", count):
        found["enqueue: batches of 100, tasks/s"] = count / took
        await running.redis.call(b"FLUSHALL")
    async with running.worker():
        await running.ask("round_trip", 20)
        times = await running.ask("round_trip", 200)
        found["round trip: p50, ms"] = percentile(times, 0.5)
        found["round trip: p99, ms"] = percentile(times, 0.99)
        found["end to end, stored, /s"] = count / await running.ask("end_to_end", count)
        found["end to end, /s"] = count / await running.ask("read_back", count)
    return found | {"execution: 1 worker process, /s": await _executed(running, count, False)}


async def _executed(running: "_Running", count: int, by_default: bool) -> float:
    running.forget()
    await running.ask("enqueue", count)
    async with running.worker(*(["default"] if by_default else [])):
        stored = await running.ask("stored", count)
        return float(count / (stored - running.first()))


class _Running:
    """A store, and the peer's program that hands over tasks to it."""

    def __init__(self, command: list[str], folder: Path, redis: Redis, socket: str) -> None:
        self._command, self._folder, self._socket = command, folder, socket
        self.redis = redis
        self._producer: asyncio.subprocess.Process

    @classmethod
    @asynccontextmanager
    async def start(cls, name: str) -> AsyncIterator["_Running"]:
        python = environment(name, peers()[name].requires) / "python"
        with tempfile.TemporaryDirectory(prefix="taskline-bench-") as folder:
            async with EmbeddedStore.start(Path(folder) / "store") as store:
                address = parse_redis_url(store.url)
                async with Redis(address) as redis:
                    socket = store.url.removeprefix("unix://").partition("?")[0]
                    command = [str(python), "-m", f"bench.peers.{name}"]
                    running = cls(command, Path(folder), redis, socket)
                    async with running._program("produce") as producer:
                        running._producer = producer
                        await running._answer()
                        yield running

    @asynccontextmanager
    async def worker(self, *options: str) -> AsyncIterator[None]:
        """One worker process until the block ends."""
        async with self._program("work", *options):
            yield

    async def ask(self, what: str, count: int) -> Any:
        """Have the producer do something; its answer."""
        assert self._producer.stdin
        self._producer.stdin.write(json.dumps({"do": what, "count": count}).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> Any:
        assert self._producer.stdout
        line = await self._producer.stdout.readline()
        if not line:
            raise ConnectionError("the program that hands over tasks has ended")
        return json.loads(line)

    def first(self) -> float:
        """When the first task was executed."""
        return float((self._folder / "first").read_text())

    def forget(self) -> None:
        """Count executions from nothing on."""
        for name in ("first", "executed"):
            (self._folder / name).unlink(missing_ok=True)

    @asynccontextmanager
    async def _program(self, role: str, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *wrapped(*self._command, role, self._socket, *options),
            env=os.environ | {"BENCH_FOLDER": str(self._folder)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if role == "produce" else asyncio.subprocess.DEVNULL,
            stderr=None if "BENCH_VERBOSE" in os.environ else asyncio.subprocess.DEVNULL,
            cwd=ROOT,
            limit=2**20,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


if __name__ == "__main__":
    for figure, value in asyncio.run(
        measure(sys.argv[1], Size(quick="--quick" in sys.argv, many=MANY))
    ).items():
        print(f"{figure:60} {written(value):>12}")
