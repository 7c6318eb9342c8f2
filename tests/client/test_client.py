"""Looking at tasks and at the deployment; what the package offers."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import taskline_client
from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import (
    AdminClient,
    ClientClosed,
    ErrorType,
    TaskClient,
    TaskFilter,
    TasklineError,
    TaskState,
    sync,
)
from taskline_client._requests import duration, timestamp
from tests.client.conftest import Connect
from tests.client.scripted import Context

PUBLIC = """
    AdminClient Attempt CallFailed CallStatus ClientClosed ConflictPolicy Ended EnqueueOptions
    EnqueueRequest
    ErrorType FieldViolation HistoryBucket InvalidInput LimitReached LogLine NotAllowed
    NotSupported Output PayloadTooLarge Progress ProgressReported Queue QueueFull
    RequestIdReused ResultExpired ResultMismatch ResumeTokenExpired RetryPolicy ServerInfo Snapshot
    StateChanged
    Stats Task TaskAlreadyExists TaskCancelled TaskClient TaskError TaskEvent TaskFailed
    TaskFilter TaskHandle TaskNotFound TaskPage TaskState TaskTimeout TaskType TaskTypeInfo
    TaskTypeNotFound TaskTypeStats TasklineError TokenInvalid TypedTask Unavailable UnknownEvent
    Worker WrongState
"""


def test_the_public_names_are_these() -> None:
    assert sorted(taskline_client.__all__) == sorted(PUBLIC.split())


def test_the_public_names_without_an_event_loop_are_the_clients() -> None:
    assert sync.__all__ == ["AdminClient", "TaskClient", "TaskHandle"]


def test_importing_the_client_brings_nothing_that_callers_did_not_ask_for() -> None:
    unwanted = "{'taskline_service', 'opentelemetry', 'typer', 'rich', 'pydantic', 'google.rpc'}"
    code = f"import sys, taskline_client; print(sorted({unwanted} & set(sys.modules)))"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert loaded.stdout == "[]\n"


def test_importing_the_client_takes_little_time() -> None:
    code = "import time; import taskline_client; print(time.process_time())"

    took = [
        float(subprocess.check_output([sys.executable, "-c", f"{code}"], text=True))
        for _ in range(5)
    ]

    # Of the processor, with Python's own start.
    assert min(took) < 0.12


@pytest.mark.parametrize("client", [TaskClient, AdminClient, sync.TaskClient, sync.AdminClient])
def test_a_client_of_no_address_is_refused_at_once(client: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="the address is empty"):
        client("")


async def test_a_client_that_is_closed_says_so(connect: Connect) -> None:
    called = asyncio.Event()

    async def never(_: service.GetTaskRequest, __: Context) -> service.GetTaskResponse:
        called.set()
        await asyncio.Event().wait()
        raise AssertionError

    client = await connect(GetTask=never)
    under_way = asyncio.create_task(client.get("t"))
    await called.wait()

    await client.close()

    with pytest.raises(ClientClosed, match="was closed while this call was under way"):
        await under_way
    for call in (client.get("t"), client.handle("t").result(), anext(client.watch("t"))):
        with pytest.raises(ClientClosed, match="the client is closed"):
            await call


async def test_a_client_says_that_it_belongs_to_another_event_loop(connect: Connect) -> None:
    async def get_task(_: service.GetTaskRequest, __: object) -> service.GetTaskResponse:
        return service.GetTaskResponse()

    client = await connect(GetTask=get_task)

    async def watch() -> None:
        async for _ in client.watch("t"):
            pass

    await client.get("t")
    for call in (lambda: client.get("t"), lambda: client.enqueue("t"), watch):
        with pytest.raises(RuntimeError, match="belongs to the event loop of its first call"):
            await asyncio.to_thread(lambda call=call: asyncio.run(call()))  # type: ignore[misc]
    await client.get("t")


async def test_closing_a_client_ends_what_it_enqueues(connect: Connect) -> None:
    called = asyncio.Event()

    async def never(_: Any, __: Context) -> service.EnqueueResponse:
        called.set()
        await asyncio.Event().wait()
        raise AssertionError

    client = await connect(Enqueue=never, BatchEnqueue=never)
    under_way = [asyncio.create_task(client.enqueue("t", number=number)) for number in range(300)]
    await called.wait()

    await client.close()

    async with asyncio.timeout(10):
        ends = await asyncio.gather(*under_way, return_exceptions=True)
    assert {type(end) for end in ends} == {ClientClosed}


async def test_a_client_that_was_closed_unused_does_not_connect(connect: Connect) -> None:
    client = await connect()
    await client.close()

    with pytest.raises(TasklineError, match="the client is closed"):
        await client.server_info()


async def test_who_cancels_a_call_and_closes_the_client_sees_its_cancellation(
    connect: Connect,
) -> None:
    called = asyncio.Event()

    async def never(_: service.GetTaskRequest, __: Context) -> service.GetTaskResponse:
        called.set()
        await asyncio.Event().wait()
        raise AssertionError

    client = await connect(GetTask=never)
    under_way = asyncio.create_task(client.get("t"))
    await called.wait()

    under_way.cancel()
    await client.close()

    with pytest.raises(asyncio.CancelledError):
        await under_way


async def test_get_tells_everything_about_a_task(connect: Connect) -> None:
    created = datetime(2026, 1, 31, 10, 0, 0, 5, tzinfo=UTC)

    async def get_task(request: service.GetTaskRequest, _: Context) -> service.GetTaskResponse:
        error = pb.TaskError(error_type=pb.TaskError.TYPE_TIMEOUT, message="too long")
        task = pb.Task(
            id=request.task_id,
            state=pb.Task.STATE_RETRYING,
            create_time=timestamp(created),
            execution_timeout=duration(timedelta(seconds=1.5)),
            progress=pb.Progress(current=1),
            error=error,
            labels={"a": "b"},
            input=pb.Payload(json_bytes=b'{"n":9007199254740993}'),
            attempt_history=[pb.Attempt(number=1, error=error)],
        )
        return service.GetTaskResponse(task=task)

    client = await connect(GetTask=get_task)

    task = await client.get("t")

    assert task.state is TaskState.RETRYING
    assert task.create_time == created and task.end_time is None
    assert task.execution_timeout == timedelta(seconds=1.5) and task.queue_timeout is None
    assert task.progress and task.progress.total is None
    assert task.error and task.error.error_type is ErrorType.TIMEOUT
    assert task.input == {"n": 9007199254740993}
    assert task.attempt_history[0].error == task.error


async def test_a_list_goes_over_all_pages(connect: Connect) -> None:
    requests: list[service.ListTasksRequest] = []

    async def list_tasks(
        request: service.ListTasksRequest, _: Context
    ) -> service.ListTasksResponse:
        requests.append(request)
        start = int(request.page_token or 0)
        tasks = [pb.Task(id=f"t-{n}") for n in range(start, start + 2)] if start != 2 else []
        token = "" if start == 4 else str(start + 2)
        return service.ListTasksResponse(tasks=tasks, next_page_token=token, total_size=4)

    client = await connect(ListTasks=list_tasks)
    wanted = TaskFilter(states=[TaskState.FAILED], queues=["a"], labels={"k": "v"})

    ids = [task.id async for task in client.list_tasks(wanted, page_size=2)]

    assert ids == ["t-0", "t-1", "t-4", "t-5"]
    assert [request.page_token for request in requests] == ["", "2", "4"]
    assert requests[0].filter == service.TaskFilter(
        states=[pb.Task.STATE_FAILED], queues=["a"], labels={"k": "v"}
    )
    assert (await client.list_page(wanted)).total_size == 4


async def test_cancelling_returns_the_task(connect: Connect) -> None:
    async def cancel(request: service.CancelTaskRequest, _: Context) -> service.CancelTaskResponse:
        error = pb.TaskError(message=request.reason)
        task = pb.Task(id=request.task_id, state=pb.Task.STATE_CANCELLED, error=error)
        return service.CancelTaskResponse(task=task)

    client = await connect(CancelTask=cancel)

    task = await client.handle("t").cancel("enough")

    assert task.state is TaskState.CANCELLED
    assert task.error and task.error.message == "enough"


async def test_the_deployment_tells_about_itself(connect: Connect) -> None:
    async def types(_: object, __: Context) -> service.ListTaskTypesResponse:
        return service.ListTaskTypesResponse(task_types=[pb.TaskType(name="demo.any", queue="q")])

    async def one_type(request: service.GetTaskTypeRequest, _: Context) -> object:
        task_type = pb.TaskType(name=request.name)
        task_type.input_schema["type"] = "object"
        return service.GetTaskTypeResponse(task_type=task_type)

    async def queues(_: object, __: Context) -> admin.ListQueuesResponse:
        return admin.ListQueuesResponse(queues=[admin.Queue(name="q", queued_count=3)])

    async def workers(_: object, __: Context) -> admin.ListWorkersResponse:
        return admin.ListWorkersResponse(workers=[admin.Worker(id="w", queues=["q"])])

    async def info(_: object, __: Context) -> admin.GetServerInfoResponse:
        return admin.GetServerInfoResponse(version="1.2.3", max_input_size=1024)

    client = await connect(
        ListTaskTypes=types,
        GetTaskType=one_type,
        ListQueues=queues,
        ListWorkers=workers,
        GetServerInfo=info,
    )

    assert [known.name for known in await client.task_types()] == ["demo.any"]
    assert (await client.task_type("demo.any")).input_schema == {"type": "object"}
    assert [queue.queued_count for queue in await client.queues()] == [3]
    assert [worker.queues for worker in await client.workers()] == [("q",)]
    assert (await client.server_info()).version == "1.2.3"
