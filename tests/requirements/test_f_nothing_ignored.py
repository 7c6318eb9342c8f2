"""F3.3: no field of a request is accepted and ignored.

Of each field there are two requests that differ in it alone, and it makes a difference. The
fields are those of the contract, so that a new one has to come with its difference.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from taskline.v1 import admin_service_pb2, task_service_pb2
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskContext, TaskRegistry
from taskline_service.store import TaskStore, parse_redis_url
from tests.requirements.wire import State, get_task, listed, result_within
from tests.stack import Stack

IN_AN_HOUR = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
# What differs from one call to the next, whatever was asked for.
VOLATILE = frozenset(
    {"uid", "sequence", "resumeToken", "nextPageToken", "worker", "attemptHistory", "traceback"}
    | {"createTime", "scheduleTime", "startTime", "endTime", "updateTime", "eventTime"}
    | {"resultExpireTime", "expireTime", "heartbeatTime"}
)

SERVICES = (
    *task_service_pb2.DESCRIPTOR.services_by_name.values(),
    *admin_service_pb2.DESCRIPTOR.services_by_name.values(),
)
METHODS: dict[str, MethodDescriptor] = {m.input_type.name: m for s in SERVICES for m in s.methods}


# The world that the requests meet


@pytest.fixture
async def world(store: TaskStore, redis_url: str) -> AsyncIterator[Stack]:
    """Tasks that have completed ("done"), failed ("failed") and wait ("waits")."""
    briefly = timedelta(milliseconds=50)
    address = parse_redis_url(redis_url)
    async with AsyncExitStack() as running:
        stack = await running.enter_async_context(
            Stack.running(store, address, longest_wait=briefly)
        )
        register_tasks(stack.tasks)
        for _ in range(2):
            await running.enter_async_context(stack.worker(queues=["default"]))
        for request in TASKS:
            await stack.stub.Enqueue(json_format.ParseDict(request, service.EnqueueRequest()))
        for ended in ("done", "failed"):
            await result_of(stack, ended)
        yield stack


TASKS: list[dict[str, Any]] = [
    {"taskType": "gives", "taskId": "done", "labels": {"k": "v"}},
    {"taskType": "fails", "taskId": "failed"},
    {"taskType": "waits", "taskId": "waits"},
]


def register_tasks(tasks: TaskRegistry) -> None:
    @tasks.task("gives")
    async def gives(ctx: TaskContext, *, number: int = 1) -> dict[str, int]:
        await ctx.log("gives")
        return {"number": number}

    @tasks.task("fails", max_attempts=2, initial_backoff=timedelta(0))
    async def fails() -> None:
        raise ValueError("no good")

    @tasks.task("waits", queue="elsewhere")
    async def waits() -> None: ...


async def result_of(stack: Stack, task_id: str) -> None:
    """Wait for its end; no call waits long in this world."""
    while not (await result_within(stack, task_id)).task.HasField("end_time"):
        pass


def plain(message: Message) -> Any:
    """What a message says, without what is never the same twice."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in VOLATILE}
        return [without(part) for part in value] if isinstance(value, list) else value

    return without(json_format.MessageToDict(message))


async def call(stack: Stack, request: Message) -> Any:
    """The answer, or the answers of a stream; if it is refused, an error."""
    method = METHODS[request.DESCRIPTOR.name]
    one: Any = stack.admin if method.containing_service.name == "AdminService" else stack.stub
    answer = getattr(one, method.name)(request)
    if method.server_streaming:
        return [event async for event in answer]
    return await answer


# What is looked at, to see a difference

Look = Callable[[Stack, Message], Awaitable[Any]]


async def answer_to(stack: Stack, request: Message) -> Any:
    answer = await call(stack, request)
    return [plain(part) for part in answer] if isinstance(answer, list) else plain(answer)


async def the_task(stack: Stack, request: Message) -> Any:
    """What became of an enqueued task."""
    answer = await call(stack, request)
    if not answer.task.id:
        return plain(answer)
    runs = answer.task.queue == "default" and answer.task.state == State.STATE_QUEUED
    if runs:
        await result_of(stack, answer.task.id)
    task = await get_task(stack, answer.task.id)
    seen = plain(task)
    if task.id not in str(request):
        del seen["id"]  # at random
    seen["ahead"] = task.schedule_time.seconds - answer.task.create_time.seconds if not runs else 0
    seen["kept"] = task.result_expire_time.seconds - task.end_time.seconds
    return seen


async def the_counts(stack: Stack, request: Message) -> Any:
    answer = await call(stack, request)
    return answer.total, len(answer.history)


async def the_names(stack: Stack, request: Message) -> Any:
    answer = await call(stack, request)
    (many,) = (value for field, value in answer.ListFields() if field.is_repeated)
    return [getattr(one, "name", "") or one.id for one in many]


async def the_states(stack: Stack, request: Message) -> Any:
    """All tasks, afterwards."""
    await call(stack, request)
    return {task.id: task.state for task in await listed(stack)}


async def the_changes(stack: Stack, request: Message) -> Any:
    """The number that is told, and all tasks afterwards."""
    answer = await call(stack, request)
    return answer.count, {task.id: (task.state, task.attempts) for task in await listed(stack)}


async def the_reason(stack: Stack, request: Message) -> Any:
    """What is told of a waiting task that was cancelled; it is made anew each time."""
    anew = {"taskType": "waits", "taskId": "waits", "conflictPolicy": 3}
    await stack.stub.Enqueue(json_format.ParseDict(anew, service.EnqueueRequest()))
    await call(stack, request)
    return (await get_task(stack, "waits")).error.message


async def the_first_change(stack: Stack, request: Any) -> Any:
    """The first that a watch tells when a task comes."""
    watch = stack.stub.Watch(request)
    await watch.initial_metadata()
    new = service.EnqueueRequest(task_type="waits")
    await stack.stub.Enqueue(new)
    event = await watch.read()
    watch.cancel()
    return event.WhichOneof("event") if isinstance(event, pb.TaskEvent) else "nothing"


async def the_abandoned_task(stack: Stack, request: Any) -> Any:
    """The state of a task whose Run was broken off."""
    run = stack.stub.Run(request)
    event = await run.read()
    assert isinstance(event, pb.TaskEvent)
    run.cancel()
    while stack.server._hubs.watched or stack.server._tasks._cancelling:
        await stack.state(event.task_id)
    return await stack.state(event.task_id)


# The differences

THE_DONE = {"taskType": "gives", "taskId": "done", "conflictPolicy": 2}

# What a request has anyway, and where to look.
ANYWAY: dict[str, tuple[dict[str, Any], Look]] = {
    "EnqueueRequest": ({"taskType": "gives"}, the_task),
    "BatchEnqueueRequest": ({"requests": [{"taskType": "unknown"}]}, answer_to),
    "RunRequest": ({"enqueue": THE_DONE}, answer_to),
    "GetTaskRequest": ({"taskId": "done"}, answer_to),
    "GetResultRequest": ({"taskId": "done"}, answer_to),
    "DownloadResultRequest": ({"taskId": "done"}, answer_to),
    "WatchRequest": ({"taskIds": ["done"]}, answer_to),
    "ListTaskEventsRequest": ({"taskId": "done"}, answer_to),
    "ListTasksRequest": ({"view": 2}, answer_to),
    "GetStatsRequest": ({}, the_counts),
    "CancelTaskRequest": ({"taskId": "done"}, the_states),
    "ListTaskTypesRequest": ({}, the_names),
    "GetTaskTypeRequest": ({"name": "gives"}, answer_to),
    "ListQueuesRequest": ({}, the_names),
    "PauseQueueRequest": ({"queue": "p"}, answer_to),
    "ResumeQueueRequest": ({"queue": "p"}, answer_to),
    "ListWorkersRequest": ({}, the_names),
    "RetryTaskRequest": ({"taskId": "unknown"}, the_states),
    "DeleteTaskRequest": ({"taskId": "unknown"}, the_states),
    "CancelTasksRequest": ({"filter": {}, "validateOnly": True}, the_changes),
    "RetryTasksRequest": ({"filter": {}, "validateOnly": True}, the_changes),
    "DeleteTasksRequest": ({"filter": {}, "validateOnly": True}, the_changes),
}
# The requests that messages within requests are tried in.
WITHIN = {
    "RetryPolicy": "EnqueueRequest",
    "Payload": "EnqueueRequest",
    "TaskFilter": "ListTasksRequest",
}
DURATION = {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}
NO_TOKEN = "bm90aGluZw"
LONG_AGO, FAR_AHEAD = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"

# What each field is then set to.
SET: dict[str, dict[str, Any]] = {
    "EnqueueRequest.task_type": {"taskType": "fails"},
    "EnqueueRequest.input": {"input": {"json": {"number": 2}}},
    "EnqueueRequest.task_id": {"taskId": "mine"},
    "EnqueueRequest.request_id": {"requestId": "once"},
    "EnqueueRequest.conflict_policy": {"conflictPolicy": "CONFLICT_POLICY_USE_EXISTING"},
    "EnqueueRequest.queue": {"queue": "elsewhere"},
    "EnqueueRequest.priority": {"priority": 5},
    "EnqueueRequest.schedule_time": {"scheduleTime": IN_AN_HOUR},
    "EnqueueRequest.delay": {"delay": "3600s"},
    "EnqueueRequest.queue_timeout": {"queueTimeout": "60s"},
    "EnqueueRequest.execution_timeout": {"executionTimeout": "60s"},
    "EnqueueRequest.retry_policy": {"retryPolicy": {"maxAttempts": 7}},
    "EnqueueRequest.result_ttl": {"resultTtl": "60s"},
    "EnqueueRequest.labels": {"labels": {"a": "b"}},
    "EnqueueRequest.validate_only": {"validateOnly": True},
    "EnqueueRequest.trace_context": {
        "traceContext": {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    },
    "RetryPolicy.max_attempts": {"retryPolicy": {"maxAttempts": 7}},
    "RetryPolicy.initial_backoff": {"retryPolicy": {"initialBackoff": "9s"}},
    "RetryPolicy.max_backoff": {"retryPolicy": {"maxBackoff": "99s"}},
    "RetryPolicy.backoff_multiplier": {"retryPolicy": {"backoffMultiplier": 3}},
    "Payload.json": {"input": {"json": {"number": 3}}},
    "Payload.json_bytes": {"input": {"jsonBytes": "eyJudW1iZXIiOjR9"}},
    "Payload.message": {"input": {"message": DURATION}},
    "BatchEnqueueRequest.requests": {"requests": [{"taskType": "gives"}]},
    "BatchEnqueueRequest.allow_partial": {"allowPartial": True},
    "RunRequest.enqueue": {"enqueue": {"taskType": "fails"}},
    "RunRequest.payload_format": {"payloadFormat": 2},
    "RunRequest.cancel_on_disconnect": {"cancelOnDisconnect": True},
    "GetTaskRequest.task_id": {"taskId": "failed"},
    "GetTaskRequest.view": {"view": "TASK_VIEW_BASIC"},
    "GetTaskRequest.payload_format": {"payloadFormat": 2},
    "GetResultRequest.task_id": {"taskId": "failed"},
    "GetResultRequest.wait": {"wait": True},
    "GetResultRequest.timeout": {"timeout": "0.01s"},
    "GetResultRequest.deadline": {"deadline": LONG_AGO},
    "GetResultRequest.payload_format": {"payloadFormat": 2},
    "DownloadResultRequest.task_id": {"taskId": "failed"},
    "DownloadResultRequest.offset": {"offset": 3},
    "WatchRequest.task_ids": {"taskIds": ["failed"]},
    "WatchRequest.filter": {"filter": {}},
    "WatchRequest.resume_token": {"resumeToken": NO_TOKEN},
    "WatchRequest.min_progress_interval": {"minProgressInterval": "0.001s"},
    "WatchRequest.heartbeat_interval": {"heartbeatInterval": "0.001s"},
    "WatchRequest.payload_format": {"payloadFormat": 2},
    "ListTaskEventsRequest.task_id": {"taskId": "failed"},
    "ListTaskEventsRequest.page_size": {"pageSize": 1},
    "ListTaskEventsRequest.page_token": {"pageToken": NO_TOKEN},
    "ListTaskEventsRequest.payload_format": {"payloadFormat": 2},
    "ListTasksRequest.filter": {"filter": {"states": ["STATE_FAILED"]}},
    "ListTasksRequest.page_size": {"pageSize": 1},
    "ListTasksRequest.page_token": {"pageToken": NO_TOKEN},
    "ListTasksRequest.order_by": {"orderBy": "create_time"},
    "ListTasksRequest.view": {"view": "TASK_VIEW_BASIC"},
    "ListTasksRequest.payload_format": {"payloadFormat": 2},
    "TaskFilter.queues": {"filter": {"queues": ["elsewhere"]}},
    "TaskFilter.task_types": {"filter": {"taskTypes": ["fails"]}},
    "TaskFilter.states": {"filter": {"states": ["STATE_QUEUED"]}},
    "TaskFilter.labels": {"filter": {"labels": {"k": "v"}}},
    "TaskFilter.min_create_time": {"filter": {"minCreateTime": FAR_AHEAD}},
    "TaskFilter.max_create_time": {"filter": {"maxCreateTime": LONG_AGO}},
    "TaskFilter.min_end_time": {"filter": {"minEndTime": LONG_AGO}},
    "TaskFilter.max_end_time": {"filter": {"maxEndTime": FAR_AHEAD}},
    "TaskFilter.min_attempts": {"filter": {"minAttempts": 2}},
    "TaskFilter.error_types": {"filter": {"errorTypes": ["TYPE_RUNTIME"]}},
    "TaskFilter.workers": {"filter": {"workers": ["nobody"]}},
    "GetStatsRequest.queues": {"queues": ["elsewhere"]},
    "GetStatsRequest.window": {"window": "60s"},
    "CancelTaskRequest.task_id": {"taskId": "waits"},
    "CancelTaskRequest.reason": {"reason": "enough"},
    "ListTaskTypesRequest.page_size": {"pageSize": 1},
    "ListTaskTypesRequest.page_token": {"pageToken": NO_TOKEN},
    "GetTaskTypeRequest.name": {"name": "fails"},
    "ListQueuesRequest.page_size": {"pageSize": 1},
    "ListQueuesRequest.page_token": {"pageToken": NO_TOKEN},
    "PauseQueueRequest.queue": {"queue": "q"},
    "ResumeQueueRequest.queue": {"queue": "q"},
    "ListWorkersRequest.page_size": {"pageSize": 1},
    "ListWorkersRequest.page_token": {"pageToken": NO_TOKEN},
    "RetryTaskRequest.task_id": {"taskId": "failed"},
    "DeleteTaskRequest.task_id": {"taskId": "failed"},
    "CancelTasksRequest.filter": {"filter": {"states": ["STATE_SCHEDULED"]}},
    "CancelTasksRequest.reason": {"reason": "enough"},
    "CancelTasksRequest.validate_only": {"validateOnly": False},
    "RetryTasksRequest.filter": {"filter": {"taskTypes": ["gives"]}},
    "RetryTasksRequest.validate_only": {"validateOnly": False},
    "DeleteTasksRequest.filter": {"filter": {"states": ["STATE_FAILED"]}},
    "DeleteTasksRequest.validate_only": {"validateOnly": False},
}
# Where a field matters only together with others, or shows elsewhere.
OTHERWISE: dict[str, tuple[dict[str, Any], Look]] = {
    "EnqueueRequest.conflict_policy": ({"taskType": "gives", "taskId": "done"}, the_task),
    "RunRequest.cancel_on_disconnect": ({"enqueue": {"taskType": "waits"}}, the_abandoned_task),
    "GetResultRequest.wait": ({"taskId": "waits"}, answer_to),
    "GetResultRequest.timeout": ({"taskId": "waits"}, answer_to),
    "GetResultRequest.deadline": ({"taskId": "waits"}, answer_to),
    "WatchRequest.filter": ({}, the_first_change),
    "CancelTaskRequest.reason": ({"taskId": "waits"}, the_reason),
    "CancelTasksRequest.reason": ({"filter": {"queues": ["elsewhere"]}}, the_reason),
}


def fields_of_requests() -> set[str]:
    """Every field that a caller can set, of requests and of our messages within them."""
    todo: list[Descriptor] = [method.input_type for method in METHODS.values()]
    found, seen = set[str](), set[str]()
    while todo:
        message = todo.pop()
        if message.full_name in seen or message.GetOptions().map_entry:
            continue
        seen.add(message.full_name)
        for field in message.fields:
            found.add(f"{message.name}.{field.name}")
            inner: Descriptor | None = field.message_type
            if inner is not None and inner.file.package == "taskline.v1":
                todo.append(inner)
    return found


def test_f3_3_every_field_of_the_contract_is_set_here() -> None:
    assert set(SET) == fields_of_requests()


@pytest.mark.parametrize("field", SET)
async def test_f3_3_a_field_that_is_set_makes_a_difference(world: Stack, field: str) -> None:
    message = field.partition(".")[0]
    message = WITHIN.get(message, message)
    anyway, look = OTHERWISE.get(field, ANYWAY[message])

    async def seen(said: dict[str, Any]) -> Any:
        """What comes of a request, in a world as it was; the error if it is refused."""
        request = json_format.ParseDict(said, GetMessageClass(METHODS[message].input_type)())
        try:
            return await look(world, request)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details()

    first, second = await seen(anyway), await seen(anyway)
    with_it = await seen(anyway | SET[field])

    assert first == second  # or it would prove nothing that the third is another
    assert with_it != first
