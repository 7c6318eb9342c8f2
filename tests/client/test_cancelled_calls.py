"""Calls that their callers give up leave nothing behind."""

import asyncio
import gc
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from taskline.v1 import task_pb2 as pb
from taskline_client import TaskClient
from tests.client.conftest import Connect
from tests.client.scripted import Context

BATCH = 250
CALLS = 10_000
# Each call in both ways, twice.
WARM_UP = 16 * BATCH


class NeverAnswering:
    """Knows how many calls are under way."""

    def __init__(self) -> None:
        self.open = 0
        self._changed = asyncio.Condition()

    async def unary(self, _request: Any, _context: Context) -> Any:
        await self._hold()

    async def stream(self, _request: Any, _context: Context) -> AsyncIterator[pb.TaskEvent]:
        await self._hold()
        yield pb.TaskEvent()

    async def _hold(self) -> None:
        await self._count(1)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.shield(self._count(-1))

    async def _count(self, change: int) -> None:
        async with self._changed:
            self.open += change
            self._changed.notify_all()

    async def until_open(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.open == count)


async def watch(client: TaskClient) -> None:
    async for _ in client.handle("t").watch():
        pass


# With how many calls of the server a batch of them makes: enqueues go together.
CALLS_OF_A_CLIENT: list[tuple[Callable[[TaskClient], Awaitable[Any]], int]] = [
    (lambda client: client.handle("t").result(), BATCH),
    (lambda client: client.enqueue("demo.any", n=1), 4),
    (watch, BATCH),
    (lambda client: client.gather(client.handle("t")), BATCH),
]


@pytest.mark.timeout(180)
async def test_ten_thousand_cancelled_calls_leave_no_task_and_no_memory_behind(
    connect: Connect,
) -> None:
    server = NeverAnswering()
    client = await connect(GetResult=server.unary, BatchEnqueue=server.unary, Watch=server.stream)

    async def cancelled(count: int) -> None:
        for batch in range(count // BATCH):
            call, calls = CALLS_OF_A_CLIENT[batch % len(CALLS_OF_A_CLIENT)]
            running = [asyncio.ensure_future(call(client)) for _ in range(BATCH)]
            if batch % 8 < 4:  # cancelled while the server is at it
                await server.until_open(calls)
            else:  # or before it has heard of them
                await asyncio.sleep(0)
            for each in running:
                each.cancel()
            ended = await asyncio.gather(*running, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
            await server.until_open(0)

    before = len(asyncio.all_tasks())
    await cancelled(WARM_UP)
    few_objects, few_kib = census()
    await cancelled(CALLS)
    objects, kib = census()

    await server.until_open(0)
    assert len(asyncio.all_tasks()) <= before + 5
    # Less than one object, and less than one KiB, for every ten calls.
    assert objects - few_objects < CALLS // 10
    assert kib - few_kib < CALLS // 10 + 8 * 1024


def census() -> tuple[int, int]:
    """Objects, and the most memory there ever was, in KiB."""
    gc.collect()
    return len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
