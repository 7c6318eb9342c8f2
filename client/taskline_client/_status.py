"""The status of a failed call, as the exception that says what is true."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
from grpc import StatusCode

from taskline.v1 import task_service_pb2 as service
from taskline_client import errors
from taskline_client.errors import CallFailed, CallStatus, FieldViolation

_DETAILS_KEY = "grpc-status-details-bin"

_BY_REASON: Mapping[str, type[CallFailed]] = {
    "TASK_NOT_FOUND": errors.TaskNotFound,
    "TASK_TYPE_NOT_FOUND": errors.TaskTypeNotFound,
    "RESULT_EXPIRED": errors.ResultExpired,
    "TASK_ALREADY_EXISTS": errors.TaskAlreadyExists,
    "INVALID_INPUT": errors.InvalidInput,
    "PAYLOAD_TOO_LARGE": errors.PayloadTooLarge,
    "REQUEST_ID_REUSED": errors.RequestIdReused,
    "PAGE_TOKEN_INVALID": errors.TokenInvalid,
    "RESUME_TOKEN_INVALID": errors.TokenInvalid,
    "RESUME_TOKEN_EXPIRED": errors.ResumeTokenExpired,
    "QUEUE_FULL": errors.QueueFull,
}

# For answers without a reason we know: a newer server's, a proxy's, or gRPC's own.
_BY_CODE: Mapping[StatusCode, type[CallFailed]] = {
    StatusCode.UNAVAILABLE: errors.Unavailable,
    # Of a call that nobody here cancelled: the server ended before it took the call.
    StatusCode.CANCELLED: errors.Unavailable,
    StatusCode.DEADLINE_EXCEEDED: errors.Unavailable,
    StatusCode.INVALID_ARGUMENT: errors.InvalidInput,
    StatusCode.FAILED_PRECONDITION: errors.WrongState,
    StatusCode.RESOURCE_EXHAUSTED: errors.LimitReached,
    StatusCode.UNAUTHENTICATED: errors.NotAllowed,
    StatusCode.PERMISSION_DENIED: errors.NotAllowed,
    StatusCode.UNIMPLEMENTED: errors.NotSupported,
}


_CODES: Mapping[int, StatusCode] = {code.value[0]: code for code in StatusCode}


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Raises the errors of this package in place of gRPC's, of calls to this address."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise error_of(error, address) from error


def error_of(error: grpc.aio.AioRpcError, address: str) -> CallFailed:
    """The exception for a call's status."""
    status = _status_of(error, address)
    kind = _BY_REASON.get(status.reason) or _BY_CODE.get(error.code()) or CallFailed
    return kind(status)


def error_of_entry(failure: service.BatchEnqueueResponse.Failure) -> CallFailed:
    """The exception for one entry of a batch, as if it had been a call of its own."""
    code = _CODES.get(failure.code, StatusCode.UNKNOWN)
    kind = _BY_REASON.get(failure.reason) or _BY_CODE.get(code) or CallFailed
    status = CallStatus(
        code=code.name,
        reason=failure.reason,
        message=failure.message,
        metadata=dict(failure.metadata),
        violations=tuple(FieldViolation(v.field, v.description) for v in failure.field_violations),
        retry_delay=failure.retry_delay.ToTimedelta() if failure.HasField("retry_delay") else None,
    )
    return kind(status)


def _status_of(error: grpc.aio.AioRpcError, address: str) -> CallStatus:
    # Only errors need it, and it takes time to import.
    from google.rpc import error_details_pb2, status_pb2

    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(_rich_status(error)).details:
        # Unpack fills the one that the detail is, and leaves the others alone.
        _ = detail.Unpack(info) or detail.Unpack(request) or detail.Unpack(retry)
    return CallStatus(
        code=error.code().name,
        reason=info.reason if info.domain == "taskline" else "",
        message=_message_of(error, address),
        metadata=dict(info.metadata),
        violations=tuple(FieldViolation(v.field, v.description) for v in request.field_violations),
        retry_delay=retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
    )


def _rich_status(error: grpc.aio.AioRpcError) -> bytes:
    """The google.rpc.Status in the trailers; an empty one if there is none."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return value
    return b""


def _message_of(error: grpc.aio.AioRpcError, address: str) -> str:
    if error.code() is StatusCode.DEADLINE_EXCEEDED:
        return f"the server at {address} did not answer in time"
    return error.details() or error.code().name
