"""A page of 50 out of few and out of many tasks: `python -m bench.list_page [MANY]`.

In the order of creation, a page costs the same however many tasks there are.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from bench.real_store import real_store
from taskline_service.ids import new_id
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion, ListQuery, NewTask
from taskline_service.task import TaskSpec, TaskState

FEW, MANY = 1_000, 200_000
PAGE = 50
REPEATS = 200
STEP = 1_000
LEASE = timedelta(minutes=5)
TYPES, QUEUES = 4, 3
TASKS_PER_CUSTOMER = 100


def new_tasks(count: int) -> Iterator[NewTask]:
    """Tasks of several types on several queues, labelled with whom they are for."""
    for number in range(count):
        task_id = new_id()
        yield NewTask(
            spec=TaskSpec(
                id=task_id,
                uid=task_id,
                task_type=f"type-{number % TYPES}",
                queue=f"queue-{number % QUEUES}",
                labels={"customer": str(number % (count // TASKS_PER_CUSTOMER))},
            )
        )


async def fill(store: TaskStore, count: int) -> None:
    """Make tasks, of which a tenth has ended."""
    tasks = list(new_tasks(count))
    types = [f"type-{number}" for number in range(TYPES)]
    for start in range(0, count, STEP):
        await store.enqueue(tasks[start : start + STEP])
        claims, _ = await store.claim(types, count=100, worker="w", lease=LEASE)
        await store.complete([Completion(claim, b"1") for claim in claims])


async def page_ms(store: TaskStore, query: ListQuery) -> float:
    """The median time of a page, and of the page behind it."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        page = await store.list(query, count=PAGE)
        if page.after is not None:
            await store.list(replace(query, after=page.after), count=PAGE)
        times.append((time.perf_counter() - began) * 1000)
        assert len(page.tasks) in range(PAGE + 1)
    return statistics.median(times)


QUERIES = {
    "all, newest first": ListQuery(),
    "all, oldest first": ListQuery(newest_first=False),
    "of one type": ListQuery(task_types=["type-1"]),
    "in one state": ListQuery(states=[TaskState.COMPLETED]),
    "created since 1970": ListQuery(min_create_us=0),
    "with a label": ListQuery(labels={"customer": "7"}),
    "none of 500 looked at": ListQuery(min_attempts=99),
}


async def measure(count: int) -> dict[str, float]:
    """The time of two pages by query, out of `count` tasks."""
    async with real_store("bench-list-page") as store:
        await fill(store, count)
        return {name: await page_ms(store, query) for name, query in QUERIES.items()}


async def main() -> None:
    """Print a line for each query."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    small, large = await measure(FEW), await measure(many)
    print(f"{'two pages of 50':22} {FEW:>12,} {many:>12,}  ratio")
    for name, ms in small.items():
        print(f"{name:22} {ms:9.2f} ms {large[name]:9.2f} ms  {large[name] / ms:5.2f}")


if __name__ == "__main__":
    asyncio.run(main())
