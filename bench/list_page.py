"""A page of 50 out of few and out of many tasks: `python -m bench.list_page`.

A page costs about the same however many tasks there are, whatever is asked for, in both orders,
at the beginning and in the middle. One that is full in both stores is held against the same one
out of few; one that is short, because few tasks match, against a full page of all tasks out of few.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

from bench.figures import Figures, Size, alone
from bench.filling import WORKER, fill
from bench.real_store import real_store
from taskline_service.store import TaskStore
from taskline_service.store.values import ListQuery
from taskline_service.task import ErrorType, TaskState

FEW = 1_000
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


async def page_of(store: TaskStore, query: ListQuery) -> tuple[float, int]:
    """The time of a page in milliseconds, and how many tasks it has."""
    began = time.perf_counter()
    page = await store.list(query, count=PAGE)
    return (time.perf_counter() - began) * 1000, len(page.tasks)


async def middle_of(store: TaskStore, count: int) -> tuple[int, str]:
    """Where the middle of the list is, of a store that is filled with so many tasks."""
    task = await store.get(await fill(store, count))
    return task.create_us, task.id


async def measure(size: Size) -> Figures:
    """Prints a line for each query; the worst of their ratios, and the time of the first."""
    repeats = REPEATS // 4 if size.quick else REPEATS
    ratios, full_ms, first_ms = list[float](), 0.0, 0.0
    async with real_store("few") as small, real_store("many") as large:
        places = await middle_of(small, FEW), await middle_of(large, size.many)
        print(f"{'a page of 50':42} {FEW:>12,} {'tasks':>5} {size.many:>12,} {'tasks':>5}  ratio")
        for (name, query), (_, there) in zip(*map(queries, places), strict=True):
            # In turns, so that whatever else the machine does falls on both.
            pairs = [
                (await page_of(small, query), await page_of(large, there)) for _ in range(repeats)
            ]
            # The best of each: the others had company on the machine.
            (few_ms, few), (many_ms, many) = map(min, zip(*pairs, strict=True))
            # The first one asks for all tasks.
            full_ms, first_ms = full_ms or few_ms, first_ms or many_ms
            both_full = few == many == PAGE
            ratios.append(many_ms / (few_ms if both_full else full_ms))
            print(
                f"{name:42} {few_ms:9.2f} ms {few:>5} {many_ms:9.2f} ms {many:>5}  "
                f"{ratios[-1]:5.2f}{'' if both_full else ' of a full page'}",
                flush=True,
            )
    return {
        "list: page of 50 out of many, ms": first_ms,
        "list: worst page of 50, many against few": max(ratios),
    }


if __name__ == "__main__":
    alone(measure)
