"""What the programs of all peers have in common; needs nothing but Python.

A worker appends a byte to BENCH_FOLDER/executed for each task, and writes down the time of the
first in BENCH_FOLDER/first. A producer carries out what it reads line by line, as JSON, and answers
each line.
"""

import asyncio
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

# What a task takes: together about 100 bytes.
TEXT = "x" * 80
IN_FLIGHT = 100
PER_BATCH = 100
# Tasks at once in a worker of asyncio.
CONCURRENCY = 100
# Tasks end about in the order of their start.
_OUT_OF_ORDER = 2 * CONCURRENCY
_POLL_S = 0.005

Handle = TypeVar("Handle")


class Executions:
    """Told of outside of the store, so that the store has no work with it."""

    def __init__(self, folder: str) -> None:
        self._counted, self._first = Path(folder) / "executed", Path(folder) / "first"
        self._file = -1

    def note(self, number: int) -> dict[str, Any]:
        """One more; the result of the task."""
        if self._file < 0:
            self._file = os.open(self._counted, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            if not self._first.exists():
                self._first.write_text(str(time.time()))
        os.write(self._file, b".")
        return {"ok": True, "n": number}

    def count(self) -> int:
        """How many so far, in all processes."""
        return self._counted.stat().st_size if self._counted.exists() else 0


class Producer(ABC, Generic[Handle]):
    """What a peer has to offer."""

    # How many results are asked for at once.
    reads_in_flight = IN_FLIGHT
    # None for a peer that has no such thing.
    enqueue_batch: Callable[[Sequence[int]], Awaitable[list[Handle]]] | None = None

    async def open(self) -> None:  # not all have to
        """Connect."""

    @abstractmethod
    async def enqueue_all(self, numbers: Sequence[int]) -> list[Handle]:
        """Hand over a task for each, by a call of its own."""

    @abstractmethod
    async def results(self, handles: Sequence[Handle]) -> list[dict[str, Any]]:
        """Wait for what each of them returned."""


class AsyncProducer(Producer[Handle]):
    """One whose calls are made many at once."""

    @abstractmethod
    async def enqueue(self, number: int) -> Handle:
        """Hand over one task."""

    @abstractmethod
    async def result(self, handle: Handle) -> dict[str, Any]:
        """Wait for what a task returned."""

    async def enqueue_all(self, numbers: Sequence[int]) -> list[Handle]:
        return await in_flight(numbers, self.enqueue, IN_FLIGHT)

    async def results(self, handles: Sequence[Handle]) -> list[dict[str, Any]]:
        return await in_flight(handles, self.result, self.reads_in_flight)


Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def in_flight(
    items: Sequence[Item], call: Callable[[Item], Awaitable[Answer]], width: int
) -> list[Answer]:
    """The answers, in order."""
    answers: list[Any] = [None] * len(items)
    rest = iter(enumerate(items))

    async def caller() -> None:
        for place, item in rest:
            answers[place] = await call(item)

    await asyncio.gather(*(caller() for _ in range(width)))
    return answers


class Production(Generic[Handle]):
    """Carries out what the measurement asks for."""

    def __init__(self, producer: Producer[Handle], executions: Executions) -> None:
        self._producer = producer
        self._executions = executions
        self._handles = list[Handle]()

    async def enqueue(self, count: int) -> float:
        """Seconds for so many tasks, by single calls."""
        began = time.perf_counter()
        self._handles = await self._producer.enqueue_all(range(count))
        return time.perf_counter() - began

    async def batch(self, count: int) -> float | None:
        """Seconds for so many tasks, by batches; None if there is no such thing."""
        if self._producer.enqueue_batch is None:
            return None
        began = time.perf_counter()
        self._handles = []
        for start in range(0, count, PER_BATCH):
            self._handles += await self._producer.enqueue_batch(range(start, start + PER_BATCH))
        return time.perf_counter() - began

    async def stored(self, count: int) -> float:
        """The time when the results of all are stored, of which `count` are executed in all."""
        while self._executions.count() < count:  # noqa: ASYNC110  # by another process
            await asyncio.sleep(_POLL_S)
        last = min(self._producer.reads_in_flight, len(self._handles))
        await self._read(len(self._handles) - last, len(self._handles))
        return time.time()

    async def end_to_end(self, count: int) -> float:
        """Seconds until so many new tasks are executed and their results are stored."""
        before, began = self._executions.count(), time.time()
        await self._enqueue_fast(count)
        return await self.stored(before + count) - began

    async def read_back(self, count: int) -> float:
        """The same, and every result is read, as soon as it is there."""
        before, began = self._executions.count(), time.time()
        await self._enqueue_fast(count)
        done = 0
        while done < count:
            executed = self._executions.count() - before
            there = count if executed >= count else max(executed - _OUT_OF_ORDER, done)
            if there == done:
                await asyncio.sleep(_POLL_S)
            await self._read(done, there)
            done = there
        return time.time() - began

    async def round_trip(self, count: int) -> list[float]:
        """Milliseconds from before one is handed over to its result, one after the other."""
        times = []
        for number in range(count):
            began = time.perf_counter()
            (handle,) = await self._producer.enqueue_all([number])
            (answer,) = await self._producer.results([handle])
            times.append((time.perf_counter() - began) * 1000)
            assert answer["n"] == number, answer
        return times

    async def _enqueue_fast(self, count: int) -> None:
        if await self.batch(count) is None:
            await self.enqueue(count)

    async def _read(self, start: int, stop: int) -> None:
        answers = await self._producer.results(self._handles[start:stop])
        assert [answer["n"] for answer in answers] == list(range(start, stop))


async def _produce(producer: Producer[Any], executions: Executions) -> None:
    await producer.open()
    production = Production(producer, executions)
    print(json.dumps("ready"), flush=True)
    # Nothing else goes on between two requests.
    for line in sys.stdin:
        asked = json.loads(line)
        answer = await getattr(production, asked["do"])(asked["count"])
        print(json.dumps(answer), flush=True)


EXECUTIONS = Executions(os.environ["BENCH_FOLDER"])


def program(
    produce: Callable[[str], Producer[Any]],
    work: Callable[[str, bool], None],
    run: Callable[[Awaitable[None]], None] = asyncio.run,
) -> None:
    """The command line of a peer."""
    role, socket, *default = sys.argv[1:]
    if role == "work":
        work(socket, bool(default))
    else:
        run(_produce(produce(socket), EXECUTIONS))
