"""O9-O12, O14-O18, O34-O36: what is told of a task, alone and in lists."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf import json_format

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import TaskFilter, TaskState
from taskline_service import TaskContext
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.wire import (
    State,
    enqueue,
    get_result,
    get_task,
    listed,
    payload,
    result_within,
    whole_life,
)
from tests.stack import Stack


async def test_o9_a_completed_task_shows_its_result_and_no_error(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        seen = await get_result(stack, ids[State.STATE_COMPLETED])

    assert seen.task.id == ids[State.STATE_COMPLETED]
    assert (seen.task.state, seen.task.attempts) == (State.STATE_COMPLETED, 1)
    assert seen.task.HasField("create_time") and seen.task.HasField("end_time")
    assert seen.WhichOneof("outcome") == "result"
    assert not seen.task.HasField("error")


async def test_o10_a_failed_task_shows_its_error_and_no_result(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        seen = await get_result(stack, ids[State.STATE_FAILED])

    assert seen.task.id == ids[State.STATE_FAILED]
    assert (seen.task.state, seen.task.attempts) == (State.STATE_FAILED, 1)
    assert seen.task.HasField("create_time") and seen.task.HasField("end_time")
    assert seen.WhichOneof("outcome") == "error"
    assert seen.task.error.message == seen.error.message == "no good"
    assert (seen.task.result_size, seen.task.HasField("result_expire_time")) == (0, False)


async def test_o11_a_running_task_shows_its_attempt_and_start(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        seen = await get_result(stack, ids[State.STATE_RUNNING])

    assert seen.task.id == ids[State.STATE_RUNNING]
    assert (seen.task.state, seen.task.attempts) == (State.STATE_RUNNING, 1)
    assert seen.task.HasField("create_time") and seen.task.HasField("start_time")
    assert seen.WhichOneof("outcome") is None
    assert not seen.task.HasField("error") and not seen.task.HasField("end_time")


async def test_o12_a_task_that_nobody_took_yet_has_no_attempt_and_no_start(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        seen = await get_result(stack, ids[State.STATE_QUEUED])

    assert seen.task.id == ids[State.STATE_QUEUED]
    assert (seen.task.state, seen.task.attempts) == (State.STATE_QUEUED, 0)
    assert seen.task.HasField("create_time")
    assert not seen.task.HasField("start_time") and not seen.task.worker


async def test_o14_every_answer_has_the_id_that_enqueue_returned(stack: Stack) -> None:
    @stack.tasks.task("quick")
    async def quick() -> None: ...

    async with stack.worker():
        task = await enqueue(stack, "quick")
        events = await whole_life(stack, task.id)
        seen = [await get_task(stack, task.id), (await get_result(stack, task.id)).task]
        seen += await listed(stack)
        cancelled = await stack.stub.CancelTask(service.CancelTaskRequest(task_id=task.id))

    assert {event.task_id for event in events} == {task.id}
    assert {one.id for one in (*seen, cancelled.task)} == {task.id}


async def test_o15_all_calls_tell_the_same_state(stack: Stack) -> None:
    @stack.tasks.task("quick")
    async def quick() -> None: ...

    task = await enqueue(stack, "quick")
    before = [
        task.state,
        (await get_task(stack, task.id)).state,
        (await get_result(stack, task.id)).task.state,
        (await listed(stack))[0].state,
    ]
    async with stack.worker():
        events = await whole_life(stack, task.id)
    after = [
        events[-1].ended.state,
        (await get_task(stack, task.id)).state,
        (await get_result(stack, task.id)).task.state,
        (await listed(stack))[0].state,
    ]

    assert before == [State.STATE_QUEUED] * 4
    assert after == [State.STATE_COMPLETED] * 4


async def test_o16_there_is_one_word_for_success_to_read_and_to_filter_by(stack: Stack) -> None:
    assert not pb.Task.State.DESCRIPTOR.GetOptions().allow_alias
    assert len(set(State.values())) == len(State.keys()) == len(TaskState)

    async with one_task_in_each_state(stack) as ids:
        chosen = TaskFilter(states=[TaskState.COMPLETED])
        found = [task async for task in stack.client.list_tasks(chosen)]

    assert [(task.id, task.state) for task in found] == [
        (ids[State.STATE_COMPLETED], TaskState.COMPLETED)
    ]


async def test_o17_attempts_count_the_starts(stack: Stack) -> None:
    seen_while_running: list[int] = []

    @stack.tasks.task("third.time", initial_backoff=timedelta(milliseconds=1))
    async def third_time(ctx: TaskContext) -> None:
        seen_while_running.append((await get_task(stack, ctx.task_id)).attempts)
        if ctx.attempt < 3:
            raise ConnectionError("not yet")

    task = await enqueue(stack, "third.time")
    async with stack.worker():
        ended = (await result_within(stack, task.id)).task

    assert task.attempts == 0
    assert seen_while_running == [1, 2, 3]
    assert ended.attempts == 3


async def test_o18_times_are_utc_and_in_order(stack: Stack) -> None:
    @stack.tasks.task("quick")
    async def quick() -> None: ...

    async with stack.worker():
        task = (await result_within(stack, (await enqueue(stack, "quick")).id)).task

    shown = json_format.MessageToDict(task)
    times = [shown[name] for name in ("createTime", "startTime", "endTime")]
    assert all(time.endswith("Z") for time in times)
    created, started, ended = map(datetime.fromisoformat, times)
    assert created <= started <= ended
    assert abs(datetime.now(UTC) - ended) < timedelta(minutes=1)


@pytest.mark.one_partition
async def test_o34_c12_a_list_without_filter_has_every_task_once_and_their_number(
    stack: Stack,
) -> None:
    @stack.tasks.task("greet")
    async def greet(name: str) -> None: ...

    one = service.EnqueueRequest(task_type="greet", input=payload({"name": "Ada"}))
    batch = await stack.stub.BatchEnqueue(service.BatchEnqueueRequest(requests=[one] * 25))
    pages = [await stack.stub.ListTasks(service.ListTasksRequest(page_size=10))]
    while token := pages[-1].next_page_token:
        request = service.ListTasksRequest(page_size=10, page_token=token)
        pages.append(await stack.stub.ListTasks(request))

    ids = [task.id for page in pages for task in page.tasks]
    assert ids == [response.task.id for response in reversed(batch.responses)]
    assert [len(page.tasks) for page in pages] == [10, 10, 5]
    assert [page.total_size for page in pages] == [25, 25, 25]


async def test_o35_a_list_by_state_has_all_and_only_the_tasks_in_it(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        found = {state: [task.id for task in await listed(stack, state)] for state in ids}
        waiting = (State.STATE_SCHEDULED, State.STATE_QUEUED, State.STATE_RETRYING)
        pending = await listed(stack, *waiting)

    assert found == {state: [task_id] for state, task_id in ids.items()}
    assert {task.state for task in pending} == set(waiting)


async def test_o36_the_number_of_tasks_in_a_state_comes_with_any_list_of_it(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        extra = await enqueue(stack, "quick", delay=timedelta(hours=1))
        totals, lengths = {}, {}
        for state in ids:
            request = service.ListTasksRequest(page_size=1)
            request.filter.states.append(state)
            totals[state] = (await stack.stub.ListTasks(request)).total_size
            lengths[state] = len(await listed(stack, state))

    assert totals == lengths
    assert totals[extra.state] == 2
