"""Domain error -> gRPC status: the one place where an error gets its code.

A status travels in the trailers, and gRPC refuses trailers of more than 8 KiB.
Everything here is cut to fit, so that a request with a thousand wrong fields is
told about some of them instead of failing without a word.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from taskline_service import errors

_T = TypeVar("_T")

DOMAIN = "taskline"

# Base64 makes 4/3 of it, and the message travels a second time, percent-encoded.
MAX_STATUS_SIZE = 4096
_MAX_MESSAGE = 500
_MAX_VALUE = 256
_MAX_VIOLATIONS_SIZE = 2500

_CODES: Mapping[type[errors.TasklineError], grpc.StatusCode] = {
    errors.TasklineError: grpc.StatusCode.INTERNAL,
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.PayloadTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    errors.PageTokenInvalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ResumeTokenInvalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ResumeTokenExpired: grpc.StatusCode.OUT_OF_RANGE,
    errors.RequestIdReused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.TaskNotFound: grpc.StatusCode.NOT_FOUND,
    errors.TaskDamaged: grpc.StatusCode.DATA_LOSS,
    errors.TaskTypeNotFound: grpc.StatusCode.NOT_FOUND,
    errors.TaskAlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.TaskNotTerminal: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TaskNotCompleted: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ResultExpired: grpc.StatusCode.NOT_FOUND,
    errors.QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StoreUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.StoreDamaged: grpc.StatusCode.DATA_LOSS,
    errors.StoreFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooManyQueues: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooManyWatches: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ServerDraining: grpc.StatusCode.UNAVAILABLE,
}

# How long a caller should wait before it tries again.
_RETRY_AFTER: Mapping[type[errors.TasklineError], timedelta] = {
    errors.QueueFull: timedelta(seconds=1),
    errors.StoreUnavailable: timedelta(seconds=1),
    errors.StoreFull: timedelta(seconds=5),
    errors.ServerDraining: timedelta(0),
}


def code_of(error: errors.TasklineError) -> grpc.StatusCode:
    """The gRPC code that this error has, also where it is data (BatchEnqueue)."""
    code = _of_kind(_CODES, error)
    assert code is not None
    return code


def retry_after(error: errors.TasklineError) -> timedelta | None:
    """After how long the same call may succeed; None if nobody can tell, or it never will."""
    return _of_kind(_RETRY_AFTER, error)


def _of_kind(
    table: Mapping[type[errors.TasklineError], _T], error: errors.TasklineError
) -> _T | None:
    """What a table says of an error: of its own kind, or of the next above."""
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)


def to_status(error: errors.TasklineError) -> status_pb2.Status:
    """All that a caller is told: code, message, ErrorInfo and what else helps."""
    violations = _bounded(error.violations) if isinstance(error, errors.InvalidInput) else []
    metadata = {key: _cut(value, _MAX_VALUE) for key, value in error.metadata.items()}
    if isinstance(error, errors.InvalidInput) and len(violations) < len(error.violations):
        # Else a caller would take what is listed for all that is wrong.
        metadata["violation_count"] = str(len(error.violations))
    details: list[Message] = [_error_info(error.reason, metadata)]
    if violations:
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if specific := _of_kind(_SPECIFIC_DETAILS, error):
        details.append(specific(error))
    if (wait := retry_after(error)) is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(wait)
        details.append(retry)
    return _status(code_of(error), error.message, details)


def internal_status(trace_id: str) -> status_pb2.Status:
    """For a bug: nothing of the exception, only where its trace is found."""
    info = _error_info("INTERNAL", {"trace_id": trace_id} if trace_id else {})
    return _status(grpc.StatusCode.INTERNAL, "internal error; the server's log has it", [info])


class RpcStatus(grpc.Status):
    """A google.rpc.Status as grpc's abort_with_status takes it."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.code = _GRPC_CODES[status.code]
        self.details = status.message
        self.trailing_metadata = (
            ("grpc-status-details-bin", status.SerializeToString()),
            *_pushback(status),
        )


_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _pushback(status: status_pb2.Status) -> tuple[tuple[str, str], ...]:
    """RetryInfo for gRPC's own retries, which do not read it.

    Not for UNAVAILABLE: those retries have a backoff with jitter, which is better
    than all clients coming back at the same instant.
    """
    retry = error_details_pb2.RetryInfo()
    if status.code == code_pb2.RESOURCE_EXHAUSTED:
        for detail in status.details:
            if detail.Unpack(retry):
                return (("grpc-retry-pushback-ms", str(retry.retry_delay.ToMilliseconds())),)
    return ()


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=_cut(message, _MAX_MESSAGE))
    for detail in details:
        packed = status.details.add()
        packed.Pack(detail)
        if status.ByteSize() > MAX_STATUS_SIZE:
            status.details.pop()
    return status


def _error_info(reason: str, metadata: Mapping[str, str]) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(domain=DOMAIN, reason=reason, metadata=metadata)


def _bounded(
    violations: tuple[errors.FieldViolation, ...],
) -> list[error_details_pb2.BadRequest.FieldViolation]:
    """As many of the violations as fit, the first ones."""
    bounded = []
    room = _MAX_VIOLATIONS_SIZE
    for violation in violations:
        entry = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, _MAX_VALUE),
            description=_cut(violation.description, _MAX_MESSAGE),
        )
        room -= entry.ByteSize() + 3  # tag and length of the entry itself
        if room < 0:
            break
        bounded.append(entry)
    return bounded


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8; what is missing shows as "..."."""
    data = text.encode(errors="replace")  # a lone surrogate becomes "?"
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode(errors="ignore") + "..."


def _task(error: errors.TasklineError) -> Message:
    return _resource("taskline.v1.Task", error, "task_id")


def _task_type(error: errors.TasklineError) -> Message:
    return _resource("taskline.v1.TaskType", error, "task_type")


def _resource(resource_type: str, error: errors.TasklineError, key: str) -> Message:
    info: Message = error_details_pb2.ResourceInfo(
        resource_type=resource_type,
        resource_name=_cut(error.metadata.get(key, ""), _MAX_VALUE),
        description=_cut(error.message, _MAX_MESSAGE),
    )
    return info


def _quota(error: errors.TasklineError) -> Message:
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=_cut(error.metadata.get("queue", ""), _MAX_VALUE),
        description=_cut(error.message, _MAX_MESSAGE),
    )
    failure: Message = error_details_pb2.QuotaFailure(violations=[violation])
    return failure


def _precondition(error: errors.TasklineError) -> Message:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=error.reason,
        subject=_cut(error.metadata.get("task_id", ""), _MAX_VALUE),
        description=_cut(error.message, _MAX_MESSAGE),
    )
    failure: Message = error_details_pb2.PreconditionFailure(violations=[violation])
    return failure


_SPECIFIC_DETAILS: Mapping[
    type[errors.TasklineError], Callable[[errors.TasklineError], Message]
] = {
    errors.TaskNotFound: _task,
    errors.TaskDamaged: _task,
    errors.TaskTypeNotFound: _task_type,
    errors.TaskAlreadyExists: _task,
    errors.ResultExpired: _task,
    errors.TaskNotTerminal: _precondition,
    errors.TaskNotCompleted: _precondition,
    errors.QueueFull: _quota,
    errors.TooManyQueues: _quota,
    errors.TooManyWatches: _quota,
}
