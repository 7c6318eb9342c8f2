"""What enqueue and enqueue_many do besides calling."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._folding import Folding
from taskline_client._requests import batches, enqueue_request
from taskline_client.errors import CallFailed
from taskline_client.handle import TaskHandle
from taskline_client.requests import EnqueueRequest

R = TypeVar("R")


async def enqueue_one(folding: Folding, request: EnqueueRequest[R]) -> TaskHandle[R]:
    """See TaskClient.enqueue."""
    answer = await folding.enqueue(enqueue_request(request))
    return _handle_from(folding.connection, answer, request)


async def enqueue_batch(
    connection: Connection, requests: Iterable[EnqueueRequest[R]]
) -> list[TaskHandle[R]]:
    """See TaskClient.enqueue_many."""
    requests = list(requests)
    handles: list[TaskHandle[R]] = []
    # All are written down before the first call: what cannot be is refused at once.
    for batch in batches([enqueue_request(request) for request in requests]):
        answer = await _send(connection, batch, before=len(handles))
        asked_for = requests[len(handles) : len(handles) + len(batch.requests)]
        handles += [
            _handle_from(connection, entry, request)
            for entry, request in zip(answer.responses, asked_for, strict=True)
        ]
    return handles


def _handle_from(
    connection: Connection, answer: service.EnqueueResponse, request: EnqueueRequest[R]
) -> TaskHandle[R]:
    """The handle of the task that was enqueued, or found."""
    task = answer.task
    return TaskHandle(
        connection,
        task.id,
        created=answer.created,
        enqueued=task,
        read=request.read_result,
    )


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
