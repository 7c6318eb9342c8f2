"""A8: what an operator does to many tasks at once."""

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_service_pb2 as service
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.wire import State, get_task, listed
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
