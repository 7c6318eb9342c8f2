"""What one answer says of a task was true at one instant."""

import asyncio

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion
from taskline_service.task import Progress
from tests.requirements.wire import State, get_result, get_task, listed
from tests.stack import Stack
from tests.store.making import claim_all, enqueue, new_task

ROUNDS = 100


async def change(store: TaskStore) -> None:
    """A task ends again and again: its result is how often, and so is its progress."""
    for number in range(1, ROUNDS + 1):
        if number > 1:
            await store.retry("t")
        (claim,) = await claim_all(store)
        await store.report_progress([(claim, Progress(current=number, total=number))])
        await store.complete([Completion(claim, b"%d" % number)])


def check(task: pb.Task) -> None:
    """Everything in it is of the same instant."""
    ended = task.state == State.STATE_COMPLETED
    assert task.HasField("end_time") == ended
    assert (task.result_size > 0) == ended
    if ended:
        assert task.progress.percentage == 100
        assert task.result_size == len(str(int(task.progress.current)))


async def test_f8_1_state_progress_and_result_of_one_answer_are_of_one_instant(
    stack: Stack,
) -> None:
    await enqueue(stack.store, new_task("t"))
    results = set[float]()

    async def look_at_results() -> None:
        while not changing.done():
            answer = await get_result(stack, "t")
            check(answer.task)
            assert answer.HasField("result") == (answer.task.state == State.STATE_COMPLETED)
            if answer.HasField("result"):
                assert answer.result.json.number_value == answer.task.progress.current
                results.add(answer.task.progress.current)

    async def look_at_tasks() -> None:
        while not changing.done():
            check(await get_task(stack, "t"))
            for task in await listed(stack):
                check(task)

    async def look_at_snapshots() -> None:
        while not changing.done():
            call = stack.stub.Watch(service.WatchRequest(task_ids=["t"]))
            first = await call.read()
            call.cancel()
            assert isinstance(first, pb.TaskEvent)
            check(first.snapshot.task)

    async with asyncio.TaskGroup() as group:
        changing = group.create_task(change(stack.store))
        for look in (look_at_results, look_at_tasks, look_at_snapshots):
            group.create_task(look())

    assert len(results) > 3
