"""What a service has done, it does not carry along."""

import asyncio
import gc
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from taskline_service import TaskContext
from tests.stack import Stack

BATCH, BATCHES = 100, 5


@dataclass(frozen=True, slots=True)
class Held:
    """What this process, which is client, server and worker at once, has of everything."""

    coroutines: Counter[str]
    files: int
    connections: int
    objects: int

    @classmethod
    async def now(cls, stack: Stack) -> "Held":
        coroutines = (str(task.get_coro()).partition(" at ")[0] for task in asyncio.all_tasks())
        gc.collect()
        return cls(
            coroutines=Counter(coroutines),
            files=len(os.listdir("/proc/self/fd")),
            connections=len(await connections(stack)),
            objects=len(gc.get_objects()),
        )

    def no_more_than(self, other: "Held") -> bool:
        """Of objects, fewer than one for every second task are no leak."""
        return (
            self.coroutines <= other.coroutines
            and self.files <= other.files
            and self.connections <= other.connections
            and self.objects - other.objects < BATCH * BATCHES // 2
        )


async def connections(stack: Stack) -> list[bytes]:
    clients: bytes = await stack.store.redis.call(b"CLIENT", b"LIST")
    return clients.splitlines()


async def test_a_service_that_has_run_many_tasks_holds_no_more_than_after_a_few(
    stack: Stack,
) -> None:
    @stack.tasks.task("work", max_attempts=1)
    async def work(n: int, ctx: TaskContext) -> int:
        await ctx.progress.increment()
        await ctx.log("at work")
        if n % 10 == 0:
            raise ValueError(n)
        return n

    async def one(n: int) -> None:
        handle = await stack.client.enqueue("work", n=n)
        assert [event async for event in handle.watch()]
        await handle.get()

    async def batch() -> None:
        await asyncio.gather(*(one(n) for n in range(BATCH)))

    async def renews() -> bool:
        return any(b"name=taskline-leases" in client for client in await connections(stack))

    async with stack.worker():
        await batch()
        while not await renews():  # with a connection of its own, which comes late
            await batch()
        few = await Held.now(stack)
        for _ in range(BATCHES):
            await batch()

        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                while not (many := await Held.now(stack)).no_more_than(few):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)  # what has just ended may still be on its way out

    assert many.no_more_than(few), (few, many)
