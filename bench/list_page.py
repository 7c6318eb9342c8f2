"""A page of 50 out of few and out of many tasks: `python -m bench.list_page [MANY]`.

A page costs about the same however many tasks there are, whatever is asked for, in both orders,
at the beginning and in the middle. Fails if one takes more than twice as long out of many.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from bench.filling import WORKER, fill
from bench.real_store import real_store
from taskline_service.store import TaskStore
from taskline_service.store.values import ListQuery
from taskline_service.task import ErrorType, TaskState

FEW, MANY = 1_000, 1_000_000
MOST = 2.0
PAGE = 50
REPEATS = 100

FILTERS = {
    "all": ListQuery(),
    "all, FULL": ListQuery(full=True),
    "of one type": ListQuery(task_types=["type-1"]),
    "on one queue": ListQuery(queues=["queue-1"]),
    "in one state": ListQuery(states=[TaskState.COMPLETED]),
    "created since 1970": ListQuery(min_create_us=0),
    "with a rare label": ListQuery(labels={"customer": "7"}),
    "with a common label": ListQuery(labels={"team": "one"}),
    "with both": ListQuery(labels={"team": "one", "customer": "7"}),
    "ended since 1970": ListQuery(min_end_us=0),
    "at least one attempt": ListQuery(min_attempts=1),
    "99 attempts: none": ListQuery(min_attempts=99),
    "failed at runtime": ListQuery(error_types=[ErrorType.RUNTIME]),
    "of one worker": ListQuery(workers=[WORKER]),
}


def queries(middle: tuple[int, str]) -> Iterator[tuple[str, ListQuery]]:
    """Every filter in both orders, from the start and from the middle on."""
    for name, query in FILTERS.items():
        for order, newest_first in (("newest", True), ("oldest", False)):
            for place, after in (("start", None), ("middle", middle)):
                ordered = replace(query, newest_first=newest_first, after=after)
                yield f"{name}, {order} first, {place}", ordered


async def page_ms(store: TaskStore, query: ListQuery) -> float:
    """The time of a page."""
    began = time.perf_counter()
    page = await store.list(query, count=PAGE)
    assert len(page.tasks) <= PAGE
    return (time.perf_counter() - began) * 1000


async def middle_of(store: TaskStore, count: int) -> tuple[int, str]:
    """Where the middle of the list is, of a store that is filled with so many tasks."""
    task = await store.get(await fill(store, count))
    return task.create_us, task.id


async def main() -> bool:
    """Print a line for each query; whether none takes too long out of many."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    ratios = list[float]()
    async with real_store("few") as small, real_store("many") as large:
        places = await middle_of(small, FEW), await middle_of(large, many)
        print(f"{'a page of 50':42} {FEW:>12,} {many:>12,}  ratio")
        for (name, query), (_, there) in zip(*map(queries, places), strict=True):
            # In turns, so that whatever else the machine does falls on both.
            pairs = [
                (await page_ms(small, query), await page_ms(large, there)) for _ in range(REPEATS)
            ]
            # The best of each: the others had company on the machine.
            few_ms, many_ms = map(min, zip(*pairs, strict=True))
            ratios.append(many_ms / few_ms)
            print(f"{name:42} {few_ms:9.2f} ms {many_ms:9.2f} ms  {ratios[-1]:5.2f}", flush=True)
    return max(ratios) <= MOST


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
