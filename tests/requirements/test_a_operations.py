"""A8, A36, A38, A39: what an operator sees of tasks, and does to many of them at once."""

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskContext
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.wire import State, enqueue, get_task, listed
from tests.stack import Stack

PENDING = (State.STATE_SCHEDULED, State.STATE_QUEUED, State.STATE_RETRYING)


async def test_a8_all_that_waits_or_runs_is_cancelled_in_one_call_that_tells_how_many(
    stack: Stack,
) -> None:
    async with one_task_in_each_state(stack) as ids:
        everything = admin.CancelTasksRequest(filter=service.TaskFilter(), reason="stale")
        asked = await stack.admin.CancelTasks(everything)
        ended = await stack.until(
            ids[State.STATE_RUNNING], lambda task: task.state == State.STATE_CANCELLED
        )
        waited = [await get_task(stack, ids[state]) for state in PENDING]
        again = await stack.admin.CancelTasks(everything)

    assert (asked.count, again.count) == (4, 0)
    assert {task.state for task in waited} == {State.STATE_CANCELLED}
    assert {task.error.message for task in (*waited, ended)} == {"stale"}


async def test_a8_those_that_wait_are_cancelled_and_those_that_run_go_on(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        pending = service.TaskFilter(states=PENDING)
        count = (await stack.admin.CancelTasks(admin.CancelTasksRequest(filter=pending))).count
        running = await get_task(stack, ids[State.STATE_RUNNING])

        assert count == len(PENDING)
        assert running.state == State.STATE_RUNNING
        assert not running.HasField("cancel_request_time")
        assert await listed(stack, *PENDING) == []


async def test_a36_a_task_is_read_with_its_state_and_its_latest_percentage(stack: Stack) -> None:
    @stack.tasks.task("count")
    async def count(to: int, ctx: TaskContext) -> None:
        await ctx.progress.set_total(4)
        await ctx.progress.increment(to)

    async with stack.worker():
        task = await enqueue(stack, "count", to=3)
        ended = await stack.until(task.id, lambda task: task.state == State.STATE_COMPLETED)

    assert ended.progress.percentage == 75.0


async def test_a38_pages_are_as_long_as_asked_for_and_tell_how_many_there_are(
    stack: Stack,
) -> None:
    @stack.tasks.task("work")
    async def work() -> None:
        pass

    ids = [(await enqueue(stack, "work")).id for _ in range(45)]

    request, pages = service.ListTasksRequest(page_size=20), list[service.ListTasksResponse]()
    while not pages or request.page_token:
        pages.append(await stack.stub.ListTasks(request))
        request.page_token = pages[-1].next_page_token

    assert [len(page.tasks) for page in pages] == [20, 20, 5]
    assert {page.total_size for page in pages} == {45}
    assert [task.id for page in pages for task in page.tasks] == ids[::-1]
    assert {task.state for page in pages for task in page.tasks} == {State.STATE_QUEUED}


async def test_a39_what_runs_is_what_runs_now_not_what_ever_did(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        running = await listed(stack, State.STATE_RUNNING)

    assert [task.id for task in running] == [ids[State.STATE_RUNNING]]
