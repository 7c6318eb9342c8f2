"""What calls cost while few and while many tasks wait: `python -m bench.deep_queue`."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from bench.figures import Figures, Size, alone
from bench.filling import fill, new_tasks, take
from bench.real_store import real_store
from taskline_service.store import Directory, TaskStore

FEW = 1_000
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


async def measure(size: Size) -> Figures:
    """Prints a line for each call; how much longer they take while many wait."""
    found = dict[str, float]()
    async with real_store("few") as small, real_store("many") as large:
        await fill(small, FEW)
        await fill(large, size.many)
        print(f"{'':12} {FEW:>12,} {size.many:>12,}  ratio")
        for action in (enqueue, claim, get_stats, list_queues):
            # In turns, so that whatever else the machine does falls on both.
            pairs = [(await ms(action, small), await ms(action, large)) for _ in range(REPEATS)]
            # The best of each: the others had company on the machine.
            few_ms, many_ms = map(min, zip(*pairs, strict=True))
            name, ratio = action.__name__, many_ms / few_ms
            print(f"{name:12} {few_ms:9.2f} ms {many_ms:9.2f} ms  {ratio:5.2f}", flush=True)
            found[f"deep queue: {name}, many waiting, ms"] = many_ms
            found[f"deep queue: {name}, many against few"] = ratio
    return found


if __name__ == "__main__":
    alone(measure)
