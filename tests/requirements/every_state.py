"""One task in each state there is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from tests.requirements.wire import State, enqueue
from tests.stack import Stack

_AN_HOUR = timedelta(hours=1)


@asynccontextmanager
async def one_task_in_each_state(stack: Stack) -> AsyncIterator[dict[State.ValueType, str]]:
    """Ids by state; they stay in it until the block ends."""
    let_go = asyncio.Event()

    @stack.tasks.task("quick")
    async def quick() -> None:
        pass

    @stack.tasks.task("waits")
    async def waits() -> None:
        await let_go.wait()

    @stack.tasks.task("nobody.takes.it", queue="elsewhere")
    async def unclaimed() -> None:
        pass

    @stack.tasks.task("fails.for.now", initial_backoff=_AN_HOUR, max_backoff=_AN_HOUR)
    async def fails_for_now() -> None:
        raise ConnectionError("not yet")

    @stack.tasks.task("fails.for.good", max_attempts=1)
    async def fails_for_good() -> None:
        raise ValueError("no good")

    async with stack.worker(queues=["default"]):
        later = await enqueue(stack, "quick", delay=_AN_HOUR)
        unwanted = await enqueue(stack, "quick", delay=_AN_HOUR)
        await stack.stub.CancelTask(service.CancelTaskRequest(task_id=unwanted.id))
        ids = {
            State.STATE_SCHEDULED: later.id,
            State.STATE_QUEUED: (await enqueue(stack, "nobody.takes.it")).id,
            State.STATE_RUNNING: (await enqueue(stack, "waits")).id,
            State.STATE_RETRYING: (await enqueue(stack, "fails.for.now")).id,
            State.STATE_COMPLETED: (await enqueue(stack, "quick")).id,
            State.STATE_FAILED: (await enqueue(stack, "fails.for.good")).id,
            State.STATE_CANCELLED: unwanted.id,
        }
        for state, task_id in ids.items():
            await stack.until(task_id, partial(_is_in, state))
        try:
            yield ids
        finally:
            let_go.set()


def _is_in(state: State.ValueType, task: pb.Task) -> bool:
    return task.state == state
