"""O3, O6-O8: waiting for the result of a task."""

import asyncio
from datetime import timedelta

import grpc
import pytest

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import TaskNotFound
from taskline_service.store import TaskStore, parse_redis_url
from tests.requirements.wire import State, enqueue, result_within
from tests.stack import Stack


def running(task: pb.Task) -> bool:
    return task.state == State.STATE_RUNNING


async def test_o3_a_waiting_get_result_returns_as_soon_as_the_task_ends(stack: Stack) -> None:
    gate = asyncio.Event()

    @stack.tasks.task("gated")
    async def gated() -> str:
        await gate.wait()
        return "done"

    async with stack.worker():
        task = await enqueue(stack, "gated")
        answer = asyncio.create_task(result_within(stack, task.id, timedelta(seconds=30)))
        await stack.until(task.id, running)
        assert not answer.done()
        gate.set()
        async with asyncio.timeout(10):  # far below the 30 s of the call
            response = await answer

    assert response.result.json.string_value == "done"
    assert not response.wait_timed_out


async def test_o6_c3_ft5_a_wait_that_runs_out_says_so_and_shows_the_task(stack: Stack) -> None:
    @stack.tasks.task("never.run")
    async def never_run() -> None: ...

    task = await enqueue(stack, "never.run")
    started = asyncio.get_running_loop().time()
    response = await result_within(stack, task.id, timedelta(milliseconds=200))
    waited = asyncio.get_running_loop().time() - started

    assert response.wait_timed_out
    assert response.WhichOneof("outcome") is None
    assert (response.task.id, response.task.state) == (task.id, State.STATE_QUEUED)
    assert 0.19 < waited < 5


@pytest.mark.parametrize("wait", [False, True])
async def test_o7_f5_2_an_unknown_task_is_not_found_and_never_unfinished(
    stack: Stack, wait: bool
) -> None:
    request = service.GetResultRequest(task_id="nobody-knows-it", wait=wait)

    with pytest.raises(grpc.aio.AioRpcError, match="nobody-knows-it") as caught:
        await stack.stub.GetResult(request)
    with pytest.raises(TaskNotFound) as translated:
        await stack.client.handle("nobody-knows-it").result()

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert translated.value.reason == "TASK_NOT_FOUND"


async def test_o8_a_wait_without_timeout_lasts_until_the_task_ends(stack: Stack) -> None:
    gate = asyncio.Event()

    @stack.tasks.task("gated")
    async def gated() -> None:
        await gate.wait()

    request = service.GetResultRequest(wait=True)
    async with stack.worker():
        request.task_id = (await enqueue(stack, "gated")).id
        call = stack.stub.GetResult(request)
        await stack.until(request.task_id, running)
        assert not call.done()
        gate.set()
        response = await call

    assert response.task.state == State.STATE_COMPLETED


async def test_o8_c3_ft5_a_wait_is_over_a_little_before_the_deadline_of_the_call(
    stack: Stack,
) -> None:
    @stack.tasks.task("never.run")
    async def never_run() -> None: ...

    task = await enqueue(stack, "never.run")
    request = service.GetResultRequest(task_id=task.id, wait=True)
    response = await stack.stub.GetResult(request, timeout=0.6)

    assert response.wait_timed_out


async def test_o8_f7_2_a_wait_is_never_longer_than_the_longest_of_the_server(
    store: TaskStore, redis_url: str
) -> None:
    longest = timedelta(milliseconds=50)
    address = parse_redis_url(redis_url)
    async with Stack.running(store, address, longest_wait=longest) as stack:

        @stack.tasks.task("never.run")
        async def never_run() -> None: ...

        task = await enqueue(stack, "never.run")
        async with asyncio.timeout(5):
            response = await result_within(stack, task.id, timedelta(minutes=1))
        info = await stack.admin.GetServerInfo(admin.GetServerInfoRequest())

    assert response.wait_timed_out
    assert info.max_wait.ToTimedelta() == longest


async def test_o8_a_caller_that_goes_away_leaves_nothing_behind(stack: Stack) -> None:
    @stack.tasks.task("never.run")
    async def never_run() -> None: ...

    hub = stack.server._hubs
    task = await enqueue(stack, "never.run")
    call = stack.stub.GetResult(service.GetResultRequest(task_id=task.id, wait=True))
    async with asyncio.timeout(5):
        while not hub.watched:
            await stack.state(task.id)
        call.cancel()
        while hub.watched:
            await stack.state(task.id)

    assert call.cancelled()
