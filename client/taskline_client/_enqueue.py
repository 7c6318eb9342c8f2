"""What enqueue and enqueue_many do besides calling."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._requests import batches, enqueue_request
from taskline_client.errors import CallFailed
from taskline_client.handle import TaskHandle
from taskline_client.requests import NO_INPUT, EnqueueOptions, EnqueueRequest


def request_for(
    task_type: str, input: Any, options: EnqueueOptions | None, arguments: Mapping[str, Any]
) -> EnqueueRequest:
    """The input is given whole or argument by argument; TypeError if both."""
    if options is not None and not isinstance(options, EnqueueOptions):
        raise TypeError(
            "options must be EnqueueOptions; "
            "pass an input that has a member `options` as a whole: enqueue(task_type, {...})"
        )
    if arguments and input is not NO_INPUT:
        raise TypeError("pass either the whole input or the task's arguments by name, not both")
    return EnqueueRequest(
        task_type, dict(arguments) if arguments else input, options or EnqueueOptions()
    )


async def enqueue_batch(
    connection: Connection, requests: Iterable[EnqueueRequest]
) -> list[TaskHandle[Any]]:
    """See TaskClient.enqueue_many."""
    handles: list[TaskHandle[Any]] = []
    # All are written down before the first call: what cannot be is refused at once.
    for batch in batches([enqueue_request(request) for request in requests]):
        answer = await _send(connection, batch, before=len(handles))
        handles += [handle_from(connection, entry) for entry in answer.responses]
    return handles


def handle_from(connection: Connection, answer: service.EnqueueResponse) -> TaskHandle[Any]:
    """The handle of the task that was enqueued, or found."""
    task = answer.task
    return TaskHandle(connection, task.id, created=answer.created, enqueued=task)


async def _send(
    connection: Connection, batch: service.BatchEnqueueRequest, *, before: int
) -> service.BatchEnqueueResponse:
    """One call; its error counts positions from the start of all requests."""
    try:
        return await connection.call(connection.tasks.BatchEnqueue, batch)
    except CallFailed as error:
        index = error.status.metadata.get("index", "")
        if not index.isdecimal():
            raise
        metadata = {**error.status.metadata, "index": str(before + int(index))}
        raise type(error)(replace(error.status, metadata=metadata)) from error
