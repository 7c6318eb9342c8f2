"""Short ways to bring the tasks of a store to where a test wants them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from taskline_service.ids import new_id
from taskline_service.queue_order import QueueChoice, QueueOrder
from taskline_service.store import TaskStore
from taskline_service.store.values import (
    Completion,
    Conflict,
    Failure,
    ListQuery,
    NewTask,
    Reclaimed,
)
from taskline_service.task import Claim, ErrorType, TaskError, TaskSpec, TaskState

LEASE = timedelta(minutes=1)
NO_TIME = timedelta(0)
AN_HOUR = timedelta(hours=1)
LOST = TaskError(error_type=ErrorType.WORKER_LOST, message="its process died", is_retryable=True)
BROKEN = TaskError(
    error_type=ErrorType.RUNTIME,
    message="no good",
    exception_class="builtins.ValueError",
    traceback="Traceback: no good",
    is_retryable=True,
)


def new_task(
    task_id: str,
    *,
    task_type: str = "work",
    queue: str = "default",
    delay: timedelta | None = None,
    due_us: int | None = None,
    on_conflict: Conflict = Conflict.REJECT,
    **fields: Any,
) -> NewTask:
    """A task to be enqueued; `fields` are those of its TaskSpec."""
    fields.setdefault("uid", new_id())
    spec = TaskSpec(id=task_id, task_type=task_type, queue=queue, **fields)
    return NewTask(spec=spec, delay=delay, due_us=due_us, on_conflict=on_conflict)


async def enqueue(store: TaskStore, *tasks: NewTask | str) -> None:
    """Enqueue tasks; a text stands for a task with this id."""
    new = [new_task(task) if isinstance(task, str) else task for task in tasks]
    outcomes = await store.enqueue(new)
    assert all(outcome.task is not None for outcome in outcomes), outcomes


async def claim_all(
    store: TaskStore,
    count: int = 100,
    *,
    types: Sequence[str] = ("work",),
    queues: Sequence[str] = (),
    order: QueueOrder = QueueOrder.URGENCY,
    worker: str = "worker-1",
    lease: timedelta = LEASE,
) -> list[Claim]:
    """What a worker gets that asks until it has so many, or there are no more."""
    choice, claims = QueueChoice(dict.fromkeys(queues, 1), order), list[Claim]()
    while len(claims) < count:
        wanted = count - len(claims)
        more, dangling, _ = await store.claim(
            types, count=wanted, worker=worker, lease=lease, queues=choice
        )
        assert not dangling
        if not more:
            break
        claims += more
    return claims


async def claim_one(
    store: TaskStore, *, worker: str = "worker-1", lease: timedelta = LEASE
) -> Claim:
    """The next task; there must be one."""
    (claim,) = await claim_all(store, 1, worker=worker, lease=lease)
    return claim


async def claimed(
    store: TaskStore, new: NewTask | str, *, worker: str = "worker-1", lease: timedelta = LEASE
) -> Claim:
    """Enqueue a task and claim it."""
    await enqueue(store, new)
    claim = await claim_one(store, worker=worker, lease=lease)
    assert claim.task_id == (new if isinstance(new, str) else new.spec.id)
    return claim


# So long that it has a key of its own.
LONG_RESULT = b'"%s"' % (b"done " * 20)


async def reach(store: TaskStore, state: TaskState, task_id: str, **fields: Any) -> Claim | None:
    """Make a task that is in this state, and has these fields of a TaskSpec; returns its claim if
    it ever had one."""
    if state is TaskState.SCHEDULED:
        await enqueue(store, new_task(task_id, delay=AN_HOUR, **fields))
        return None
    if state is TaskState.QUEUED:
        await enqueue(store, new_task(task_id, **fields))
        return None
    claim = await claimed(store, new_task(task_id, **fields))
    match state:
        case TaskState.RETRYING:
            await store.fail([Failure(claim, BROKEN, AN_HOUR)])
        case TaskState.COMPLETED:
            await store.complete([Completion(claim, LONG_RESULT)])
        case TaskState.FAILED:
            await store.fail([Failure(claim, BROKEN, None)])
        case TaskState.CANCELLED:
            await store.cancel(task_id)
            await store.release([claim])
    assert (await store.get(task_id)).state is state
    return claim


async def states(store: TaskStore) -> dict[str, TaskState]:
    """The state of every task."""
    page = await store.list(ListQuery(), count=1000)
    return {task.id: task.state for task in page.tasks}


async def promote(store: TaskStore, count: int) -> None:
    """Put this many tasks on their queue as they become due."""
    promoted = 0
    async with asyncio.timeout(10):
        while promoted < count:
            promoted += (await store.promote()).count


async def reclaim(store: TaskStore, count: int, *, retry_delay: timedelta) -> list[Reclaimed]:
    """Take this many tasks back as their leases run out."""
    reclaimed = list[Reclaimed]()
    async with asyncio.timeout(10):
        while len(reclaimed) < count:
            reclaimed += await store.reclaim(retry_delay=retry_delay)
    return reclaimed
