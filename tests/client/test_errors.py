"""Each status of the contract as an exception of the client."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from taskline.v1 import task_service_pb2 as service
from taskline_client import (
    CallFailed,
    CallStatus,
    ClientClosed,
    ErrorType,
    FieldViolation,
    InvalidInput,
    LimitReached,
    NotAllowed,
    NotSupported,
    PayloadTooLarge,
    QueueFull,
    RequestIdReused,
    ResultExpired,
    ResultMismatch,
    ResumeTokenExpired,
    TaskAlreadyExists,
    TaskCancelled,
    TaskError,
    TaskFailed,
    TasklineError,
    TaskNotFound,
    TaskTimeout,
    TaskTypeNotFound,
    TokenInvalid,
    Unavailable,
    WrongState,
)
from tests.client.conftest import Connect
from tests.client.scripted import Context, refuse


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (StatusCode.NOT_FOUND, "TASK_NOT_FOUND", TaskNotFound),
        (StatusCode.NOT_FOUND, "TASK_TYPE_NOT_FOUND", TaskTypeNotFound),
        (StatusCode.NOT_FOUND, "RESULT_EXPIRED", ResultExpired),
        (StatusCode.ALREADY_EXISTS, "TASK_ALREADY_EXISTS", TaskAlreadyExists),
        (StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", InvalidInput),
        (StatusCode.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE", PayloadTooLarge),
        (StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED", RequestIdReused),
        (StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", TokenInvalid),
        (StatusCode.INVALID_ARGUMENT, "RESUME_TOKEN_INVALID", TokenInvalid),
        (StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED", ResumeTokenExpired),
        (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", QueueFull),
        (StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL", LimitReached),
        (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES", LimitReached),
        (StatusCode.FAILED_PRECONDITION, "TASK_NOT_TERMINAL", WrongState),
        (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", NotAllowed),
        (StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED", NotAllowed),
        (StatusCode.UNIMPLEMENTED, "NOT_SUPPORTED", NotSupported),
        (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", Unavailable),
        (StatusCode.CANCELLED, "", Unavailable),
        (StatusCode.INTERNAL, "INTERNAL", CallFailed),
        (StatusCode.INVALID_ARGUMENT, "SOMETHING_NEWER", InvalidInput),
        pytest.param(StatusCode.UNKNOWN, "", CallFailed, id="not ours"),
    ],
)
async def test_a_reason_has_its_exception(
    connect: Connect, code: grpc.StatusCode, reason: str, expected: type[CallFailed]
) -> None:
    async def get_task(_: service.GetTaskRequest, context: Context) -> Any:
        await refuse(context, code, reason, message="what is wrong", metadata={"k": "v"})

    client = await connect(GetTask=get_task)

    with pytest.raises(CallFailed, match="what is wrong") as caught:
        await client.get("t")

    assert type(caught.value) is expected
    assert caught.value.reason == reason
    assert caught.value.status.code == code.name
    assert caught.value.status.metadata == ({"k": "v"} if reason else {})


async def test_every_wrong_field_is_named(connect: Connect) -> None:
    async def enqueue(_: service.EnqueueRequest, context: Context) -> Any:
        violations = [("input.width", "must be positive"), ("priority", "0 to 9")]
        await refuse(context, StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", violations=violations)

    client = await connect(Enqueue=enqueue)

    with pytest.raises(InvalidInput) as caught:
        await client.enqueue("demo.any")

    assert caught.value.violations == (
        FieldViolation("input.width", "must be positive"),
        FieldViolation("priority", "0 to 9"),
    )
    assert caught.value.status.retry_delay == timedelta()


async def test_an_unknown_type_comes_with_the_closest_known(connect: Connect) -> None:
    async def enqueue(_: service.EnqueueRequest, context: Context) -> Any:
        metadata = {"closest": "demo.any"}
        await refuse(context, StatusCode.NOT_FOUND, "TASK_TYPE_NOT_FOUND", metadata=metadata)

    client = await connect(Enqueue=enqueue)

    with pytest.raises(TaskTypeNotFound) as caught:
        await client.enqueue("demo.ani")

    assert caught.value.closest == "demo.any"


_ERROR = TaskError(
    error_type=ErrorType.RUNTIME, message="no", exception_class="builtins.ValueError", traceback="T"
)
_STATUS = CallStatus(
    code="NOT_FOUND",
    reason="TASK_TYPE_NOT_FOUND",
    message="what is wrong",
    metadata={"closest": "text.count"},
    violations=[FieldViolation("input.width", "must be positive")],
    retry_delay=timedelta(seconds=1),
)
_EVERY_KIND: list[TasklineError] = [
    TaskFailed("t", _ERROR),
    TaskCancelled("t", _ERROR),
    TaskTimeout("t", timedelta(seconds=3)),
    ResultMismatch("t", "not an int"),
    ClientClosed(under_way=True),
    TaskTypeNotFound(_STATUS),
]


@pytest.mark.parametrize("error", _EVERY_KIND, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_a_copy_of_an_exception_says_the_same(
    error: TasklineError, copied: Callable[[TasklineError], TasklineError]
) -> None:
    same = copied(error)

    assert same is not error
    assert type(same) is type(error)
    assert str(same) == str(error)
    assert same.args == error.args
    # What the class adds, and the remote traceback.
    assert vars(same) == vars(error)


def _fail(_: int) -> None:
    raise TaskFailed("t", _ERROR)


def test_an_exception_reaches_who_waits_for_another_process() -> None:
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(TaskFailed, match="task t failed") as caught,
    ):
        pool.apply_async(_fail, (0,)).get(timeout=60)

    assert caught.value.error == _ERROR
