"""Calls of a plain generated stub in few words: what any language says on the wire."""

from datetime import timedelta
from typing import Any

from google.protobuf import json_format

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from tests.stack import Stack

State = pb.Task.State

PATIENCE = timedelta(seconds=10)


def payload(value: Any) -> pb.Payload:
    """A value as one types it into grpcurl."""
    return json_format.ParseDict({"json": value}, pb.Payload())


async def enqueue(
    stack: Stack, task_type: str, *, delay: timedelta | None = None, **arguments: Any
) -> pb.Task:
    request = service.EnqueueRequest(task_type=task_type, input=payload(arguments))
    if delay is not None:
        request.delay.FromTimedelta(delay)
    return (await stack.stub.Enqueue(request)).task


async def get_task(stack: Stack, task_id: str) -> pb.Task:
    return (await stack.stub.GetTask(service.GetTaskRequest(task_id=task_id))).task


async def get_result(stack: Stack, task_id: str) -> service.GetResultResponse:
    """Without waiting."""
    return await stack.stub.GetResult(service.GetResultRequest(task_id=task_id))


async def result_within(
    stack: Stack, task_id: str, timeout: timedelta = PATIENCE
) -> service.GetResultResponse:
    """Waiting, as long as `timeout`."""
    request = service.GetResultRequest(task_id=task_id, wait=True)
    request.timeout.FromTimedelta(timeout)
    return await stack.stub.GetResult(request)


async def listed(stack: Stack, *states: State.ValueType) -> list[pb.Task]:
    """All tasks in any of the states, newest first."""
    request = service.ListTasksRequest(filter=service.TaskFilter(states=states))
    tasks = list[pb.Task]()
    while True:
        page = await stack.stub.ListTasks(request)
        tasks += page.tasks
        request.page_token = page.next_page_token
        if not request.page_token:
            return tasks


async def whole_life(stack: Stack, task_id: str, resume_token: str = "") -> list[pb.TaskEvent]:
    """Every event until the server ends the stream; progress as often as a watch can have it."""
    request = service.WatchRequest(task_ids=[task_id], resume_token=resume_token)
    request.min_progress_interval.FromMilliseconds(20)
    return [event async for event in stack.stub.Watch(request)]


def states_told(events: list[pb.TaskEvent]) -> list[State.ValueType]:
    """The states that events announce, snapshots left out."""
    return [
        getattr(event, kind).state
        for event in events
        if (kind := event.WhichOneof("event")) in ("state_changed", "ended")
    ]
