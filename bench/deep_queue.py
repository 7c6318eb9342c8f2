"""What calls cost while few and while many tasks wait: `python -m bench.deep_queue [MANY]`."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from bench.filling import fill, new_tasks, take
from bench.real_store import real_store
from taskline_service.store import Directory, TaskStore

FEW, MANY = 1_000, 1_000_000
REPEATS = 200
WINDOW = timedelta(hours=1)


async def enqueue(store: TaskStore) -> None:
    """One task."""
    await store.enqueue(list(new_tasks(1)))


async def claim(store: TaskStore) -> None:
    """One task."""
    assert await take(store, 1)


async def get_stats(store: TaskStore) -> None:
    """Of all queues."""
    await store.stats(window=WINDOW)


async def list_queues(store: TaskStore) -> None:
    """All of them."""
    await Directory(store.redis, store.keys).queues(count=100)


async def ms(action: Callable[[TaskStore], Awaitable[None]], store: TaskStore) -> float:
    """The time of an action."""
    began = time.perf_counter()
    await action(store)
    return (time.perf_counter() - began) * 1000


async def main() -> None:
    """Print a line for each."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    async with real_store("few") as small, real_store("many") as large:
        await fill(small, FEW)
        await fill(large, many)
        print(f"{'':12} {FEW:>12,} {many:>12,}  ratio")
        for action in (enqueue, claim, get_stats, list_queues):
            # In turns, so that whatever else the machine does falls on both.
            pairs = [(await ms(action, small), await ms(action, large)) for _ in range(REPEATS)]
            # The best of each: the others had company on the machine.
            few_ms, many_ms = map(min, zip(*pairs, strict=True))
            print(
                f"{action.__name__:12} {few_ms:9.2f} ms {many_ms:9.2f} ms  {many_ms / few_ms:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    asyncio.run(main())
