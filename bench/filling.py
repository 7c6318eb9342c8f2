"""Stores with many tasks: several types and queues, labels, and a tenth no longer waiting.

Few and many are alike but for their number: of each type and queue, the same part has ended.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product

from taskline_service.ids import new_id
from taskline_service.queue_order import EVERY_QUEUE, QueueChoice
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion, Failure, NewTask
from taskline_service.task import Claim, ErrorType, TaskError, TaskSpec

TYPES = [f"type-{number}" for number in range(4)]
QUEUES = [f"queue-{number}" for number in range(3)]
TASKS_PER_CUSTOMER = 100
WORKER = "w"
LEASE = timedelta(hours=1)
_STEP = 1_000
# Of a step, of each type and queue.
_TAKEN, _COMPLETED, _FAILED = 10, 7, 2


def new_tasks(count: int) -> Iterator[NewTask]:
    """Tasks of several types on several queues, labelled with whom they are for."""
    customers = max(count // TASKS_PER_CUSTOMER, 1)
    for number in range(count):
        task_id = new_id()
        yield NewTask(
            spec=TaskSpec(
                id=task_id,
                uid=task_id,
                task_type=TYPES[number % len(TYPES)],
                queue=QUEUES[number % len(QUEUES)],
                labels={"customer": str(number % customers), "team": "one"},
            )
        )


async def fill(store: TaskStore, count: int) -> str:
    """Make tasks, of which a tenth has been taken, in bounded steps; returns a middle one's id."""
    tasks = new_tasks(count)
    error = TaskError(error_type=ErrorType.RUNTIME, message="no")
    middle = ""
    for start in range(0, count, _STEP):
        step = [next(tasks) for _ in range(min(_STEP, count - start))]
        await store.enqueue(step)
        if start <= count // 2:
            middle = step[(count // 2 - start) % len(step)].spec.id
        for line in product(TYPES, QUEUES):
            claims = await take(store, _TAKEN, *line)
            await store.complete([Completion(claim, b"1") for claim in claims[:_COMPLETED]])
            failed = claims[_COMPLETED : _COMPLETED + _FAILED]
            await store.fail([Failure(claim, error, retry_delay=None) for claim in failed])
    return middle


async def take(store: TaskStore, count: int, *line: str) -> list[Claim]:
    """Claims of waiting tasks, if need be of one type and queue only."""
    types, queues = ([line[0]], QueueChoice({line[1]: 1})) if line else (TYPES, EVERY_QUEUE)
    claims, *_ = await store.claim(types, count=count, worker=WORKER, lease=LEASE, queues=queues)
    return claims
