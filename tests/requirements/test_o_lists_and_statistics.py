"""O39, O40, O42-O45, A36, A38, A39: boards, and lists that pick out what matters."""

import asyncio
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskContext
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.wire import State, enqueue, get_task, listed, result_within
from tests.stack import Stack

ErrorType = pb.TaskError.Type


async def get_stats(stack: Stack) -> service.GetStatsResponse:
    return await stack.stub.GetStats(service.GetStatsRequest())


async def found(stack: Stack, chosen: service.TaskFilter) -> list[str]:
    page = await stack.stub.ListTasks(service.ListTasksRequest(filter=chosen))
    assert not page.next_page_token
    return [task.id for task in page.tasks]


async def test_o39_a_board_gets_its_numbers_in_one_call_and_they_add_up(stack: Stack) -> None:
    async with one_task_in_each_state(stack):
        stats = await get_stats(stack)
        lengths = {state: len(await listed(stack, state)) for state in State.values() if state}

    assert {entry.state: entry.count for entry in stats.states} == lengths
    assert stats.total == sum(lengths.values()) == 7


async def test_o40_c8_the_success_rate_is_completed_of_completed_and_failed(stack: Stack) -> None:
    @stack.tasks.task("checks", max_attempts=1)
    async def checks(fine: bool) -> None:
        assert fine

    empty = await get_stats(stack)
    async with stack.worker():
        for fine in (True, True, False, True):
            await result_within(stack, (await enqueue(stack, "checks", fine=fine)).id)
        await stack.stub.CancelTask(
            service.CancelTaskRequest(task_id=(await enqueue(stack, "checks", fine=True)).id)
        )
    stats = await get_stats(stack)

    assert empty.success_rate == 0.0
    ended = {entry.state: entry.count for entry in stats.states}
    completed, failed = ended[State.STATE_COMPLETED], ended[State.STATE_FAILED]
    assert failed == 1
    assert stats.success_rate == completed / (completed + failed)
    assert [kind.success_rate for kind in stats.task_types] == [stats.success_rate]


async def test_o42_failures_are_counted_by_error_type_and_found_by_it(stack: Stack) -> None:
    @stack.tasks.task("raises", max_attempts=1)
    async def raises() -> None:
        raise ValueError("no good")

    @stack.tasks.task("sends.nonsense", max_attempts=1)
    async def sends_nonsense() -> object:
        return object()

    async with stack.worker():
        broken = [await enqueue(stack, "raises") for _ in range(2)]
        nonsense = await enqueue(stack, "sends.nonsense")
        for task in (*broken, nonsense):
            await result_within(stack, task.id)
    stats = await get_stats(stack)

    assert {entry.error_type: entry.count for entry in stats.error_types} == {
        ErrorType.TYPE_RUNTIME: 2,
        ErrorType.TYPE_SERIALIZATION: 1,
    }
    chosen = service.TaskFilter(error_types=[ErrorType.TYPE_SERIALIZATION])
    assert await found(stack, chosen) == [nonsense.id]


async def test_o43_tasks_that_were_tried_more_than_twice_are_found(stack: Stack) -> None:
    @stack.tasks.task("flaky", max_attempts=5, initial_backoff=timedelta(0))
    async def flaky(ctx: TaskContext, failures: int) -> None:
        if ctx.attempt <= failures:
            raise ConnectionError("not yet")

    async with stack.worker():
        tasks = [await enqueue(stack, "flaky", failures=n) for n in (0, 1, 2, 3)]
        for task in tasks:
            await result_within(stack, task.id)

    assert await found(stack, service.TaskFilter(min_attempts=3)) == [tasks[3].id, tasks[2].id]


async def test_o44_recent_failures_are_found_by_when_they_were(stack: Stack) -> None:
    @stack.tasks.task("raises", max_attempts=1)
    async def raises() -> None:
        raise ValueError("no good")

    async with stack.worker():
        ids = [(await enqueue(stack, "raises")).id for _ in range(3)]
        ends = {id_: (await result_within(stack, id_)).task.end_time for id_ in ids}

    def since(end: Timestamp) -> service.TaskFilter:
        return service.TaskFilter(states=[State.STATE_FAILED], min_end_time=end)

    for end in ends.values():
        expected = {id_ for id_ in ids if ends[id_].ToNanoseconds() >= end.ToNanoseconds()}
        assert set(await found(stack, since(end))) == expected
    later = Timestamp()
    later.FromNanoseconds(max(end.ToNanoseconds() for end in ends.values()) + 1)
    assert await found(stack, since(later)) == []


async def test_o41_o45_a_row_of_a_list_tells_of_a_failure_all_there_is_to_show(
    stack: Stack,
) -> None:
    async with one_task_in_each_state(stack) as ids:
        (row,) = await listed(stack, State.STATE_FAILED)
        alone = await get_task(stack, ids[State.STATE_FAILED])

    assert (row.id, row.state, row.attempts) == (alone.id, State.STATE_FAILED, 1)
    assert row.end_time == alone.end_time
    assert (row.error.error_type, row.error.message) == (ErrorType.TYPE_RUNTIME, "no good")


async def test_a36_a_task_tells_its_state_and_latest_percentage(stack: Stack) -> None:
    let_go = asyncio.Event()

    @stack.tasks.task("counts")
    async def counts(ctx: TaskContext) -> None:
        ctx.progress.set_total(8)
        await ctx.progress.increment()
        await ctx.progress.increment()
        await let_go.wait()

    async with stack.worker():
        task = await enqueue(stack, "counts")
        seen = await stack.until(task.id, lambda t: t.progress.percentage == 25.0)
        let_go.set()

    assert (seen.state, seen.progress.current) == (State.STATE_RUNNING, 2.0)


async def test_a38_pages_are_as_long_as_asked_and_tell_how_many_tasks_there_are(
    stack: Stack,
) -> None:
    @stack.tasks.task("waits")
    async def waits() -> None: ...

    ids = [(await enqueue(stack, "waits")).id for _ in range(45)]
    request, pages = service.ListTasksRequest(page_size=20), list[service.ListTasksResponse]()
    while not pages or request.page_token:
        pages.append(await stack.stub.ListTasks(request))
        request.page_token = pages[-1].next_page_token

    assert [len(page.tasks) for page in pages] == [20, 20, 5]
    assert [page.total_size for page in pages] == [45, 45, 45]
    rows = [task for page in pages for task in page.tasks]
    assert [(row.id, row.state) for row in rows] == [(i, State.STATE_QUEUED) for i in ids[::-1]]


async def test_a39_running_tasks_are_those_that_run_now(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        running = await listed(stack, State.STATE_RUNNING)

    assert [task.id for task in running] == [ids[State.STATE_RUNNING]]
    assert await listed(stack, State.STATE_RUNNING) == []
