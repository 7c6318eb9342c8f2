"""The outcome of a task: asking for it until it is there, and reading it."""

import json
from contextlib import aclosing
from datetime import timedelta
from time import monotonic
from typing import Any

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert import error_from, state_from
from taskline_client._patience import Patience
from taskline_client._payload import from_payload
from taskline_client._requests import duration
from taskline_client.errors import TaskCancelled, TaskFailed, TaskTimeout, Unavailable
from taskline_client.types import TaskState

# The longest wait of a server that is not configured otherwise.
_LONGEST_WAIT = timedelta(minutes=5)
# For the way there and back: the server must be the one that ends the wait.
_MARGIN = timedelta(seconds=5)


async def ask_for_outcome(
    connection: Connection,
    task_id: str,
    *,
    wait: timedelta,
    payload_format: pb.PayloadFormat.ValueType = pb.PAYLOAD_FORMAT_JSON_BYTES,
) -> service.GetResultResponse:
    """The answer once the task has ended, or the last one before `wait` was over.

    Raises:
        Unavailable: No server answered in all that time.
        TaskNotFound, ResultExpired: There is no outcome to wait for.
    """
    end = monotonic() + wait.total_seconds()
    patience = Patience(wait)
    answer: service.GetResultResponse | None = None
    while True:
        left = min(max(timedelta(seconds=end - monotonic()), timedelta()), _LONGEST_WAIT)
        request = service.GetResultRequest(
            task_id=task_id, timeout=duration(left), payload_format=payload_format
        )
        try:
            answer = await connection.call(
                connection.tasks.GetResult, request, timeout=left + _MARGIN
            )
        except Unavailable as error:
            if await patience.pause(error):
                continue
            if answer is None:
                raise
            return answer
        if has_ended(answer) or not left:
            return answer


def has_ended(answer: service.GetResultResponse) -> bool:
    """Whether the task of the answer is over, also if its result is not in it."""
    return answer.WhichOneof("outcome") is not None or state_from(answer.task.state).terminal


async def value_of(
    connection: Connection, answer: service.GetResultResponse, *, waited: timedelta
) -> Any:
    """What the task returned.

    Raises:
        TaskFailed, TaskCancelled: It ended without a result.
        TaskTimeout: It has not ended.
    """
    task_id = answer.task.id
    match answer.WhichOneof("outcome"):
        case "result":
            return from_payload(answer.result)
        case "error":
            error = error_from(answer.error)
            cancelled = state_from(answer.task.state) is TaskState.CANCELLED
            raise (TaskCancelled if cancelled else TaskFailed)(task_id, error)
        case _ if has_ended(answer):
            return json.loads(await download(connection, task_id))
        case _:
            raise TaskTimeout(task_id, waited)


async def download(connection: Connection, task_id: str) -> bytes:
    """The bytes of a result that is too large for one answer."""
    request = service.DownloadResultRequest(task_id=task_id)
    async with aclosing(connection.stream(connection.streams.DownloadResult, request)) as chunks:
        return b"".join([answer.chunk async for answer in chunks])
