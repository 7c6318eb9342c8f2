"""What an answer of GetResult says: the result, or why there is none. Pure."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf import json_format

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._builtin_errors import original
from taskline_client._convert import error_from, state_from
from taskline_client.errors import ResultMismatch, TaskCancelled, TaskFailed, TaskTimeout
from taskline_client.types import TaskState

R = TypeVar("R")

_DEFAULT_WAIT = timedelta(minutes=5)


def longest_wait(timeout: timedelta | None, deadline: datetime | None) -> timedelta:
    """How long to wait for a result.

    Raises:
        ValueError: Both are given, or one that means nothing.
        TypeError: One is no span, or no instant.
    """
    if timeout is not None and deadline is not None:
        raise ValueError("either timeout or deadline, not both")
    if deadline is not None:
        if not isinstance(deadline, datetime):
            raise TypeError(f"deadline must be a datetime, not {type(deadline).__name__}")
        if deadline.tzinfo is None:
            raise ValueError("deadline must be an aware datetime")
        return max(deadline - datetime.now(UTC), timedelta())
    if timeout is None:
        return _DEFAULT_WAIT
    if not isinstance(timeout, timedelta):
        raise TypeError(f"timeout must be a timedelta, not {type(timeout).__name__}")
    if timeout < timedelta():
        raise ValueError("timeout must not be negative")
    return timeout


def has_ended(answer: service.GetResultResponse) -> bool:
    """Whether the task of the answer is over, also if its result is not in it."""
    return answer.WhichOneof("outcome") is not None or state_from(answer.task.state).terminal


def result_json(
    answer: service.GetResultResponse, *, waited: timedelta, reraise: bool = False
) -> bytes | None:
    """The result as JSON; None if it is too large for an answer, and has to be downloaded.

    Raises:
        TaskFailed, TaskCancelled: It ended without a result; with `reraise`, what it raised.
        TaskTimeout: It has not ended.
    """
    task_id = answer.task.id
    match answer.WhichOneof("outcome"):
        case "result":
            return _json_of(answer.result)
        case "error":
            error = error_from(answer.error)
            if state_from(answer.task.state) is TaskState.CANCELLED:
                raise TaskCancelled(task_id, error)
            failed = TaskFailed(task_id, error)
            if reraise and (raised := original(error)) is not None:
                # The remote traceback: once, at the end of all that is shown.
                raised.__notes__, failed.__notes__ = getattr(failed, "__notes__", []), []
                raise raised from failed
            raise failed
        case _ if has_ended(answer):
            return None
        case _:
            raise TaskTimeout(task_id, waited)


def read_result(task_id: str, text: bytes, read: Callable[[bytes], R]) -> R:
    """The result as its declared type.

    Raises:
        ResultMismatch: It is something else.
    """
    try:
        return read(text)
    except ValueError as error:
        raise ResultMismatch(task_id, str(error)) from error


def _json_of(payload: pb.Payload) -> bytes:
    if payload.HasField("json_bytes"):
        return payload.json_bytes
    # Only from a server that does not heed what form was asked for.
    return json.dumps(json_format.MessageToDict(payload.json)).encode()
