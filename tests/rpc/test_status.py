from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from taskline_service import errors
from taskline_service.errors import FieldViolation, InvalidInput, TasklineError
from taskline_service.rpc.status import (
    MAX_STATUS_SIZE,
    RpcStatus,
    code_of,
    internal_status,
    to_status,
)


def all_errors(of: type[TasklineError] = TasklineError) -> Iterator[type[TasklineError]]:
    yield of
    for kind in of.__subclasses__():
        yield from all_errors(kind)


def example(kind: type[TasklineError]) -> TasklineError:
    if issubclass(kind, InvalidInput):
        return kind([FieldViolation("input.width", "must be positive")])
    if issubclass(kind, errors.TaskNotFound | errors.TaskDamaged):
        return kind("t-1")
    if issubclass(kind, errors.StoreDamaged):
        return kind("taskline:{d}:leases")
    return kind("it is so", task_id="t-1", task_type="a.b", queue="mail")


def details(status: status_pb2.Status) -> dict[str, Any]:
    unpacked = {}
    for packed in status.details:
        name = packed.TypeName().removeprefix("google.rpc.")
        unpacked[name] = getattr(error_details_pb2, name)()
        packed.Unpack(unpacked[name])
    return unpacked


@pytest.mark.parametrize("kind", list(all_errors()))
def test_every_error_has_a_code_and_its_reason(kind: type[TasklineError]) -> None:
    status = to_status(example(kind))

    assert grpc.StatusCode.OK is not code_of(example(kind))
    assert status.code == code_of(example(kind)).value[0]
    assert status.message
    info = details(status)["ErrorInfo"]
    assert (info.domain, info.reason) == ("taskline", kind.reason)
    assert all(key == key.lower() for key in info.metadata)


@pytest.mark.parametrize(
    ("kind", "code", "also"),
    [
        (errors.InvalidInput, "INVALID_ARGUMENT", {"BadRequest"}),
        (errors.PayloadTooLarge, "INVALID_ARGUMENT", {"BadRequest"}),
        (errors.PageTokenInvalid, "INVALID_ARGUMENT", set()),
        (errors.ResumeTokenInvalid, "INVALID_ARGUMENT", set()),
        (errors.RequestIdReused, "INVALID_ARGUMENT", set()),
        (errors.TaskNotFound, "NOT_FOUND", {"ResourceInfo"}),
        (errors.TaskTypeNotFound, "NOT_FOUND", {"ResourceInfo"}),
        (errors.TaskAlreadyExists, "ALREADY_EXISTS", {"ResourceInfo"}),
        (errors.TaskNotTerminal, "FAILED_PRECONDITION", {"PreconditionFailure"}),
        (errors.TaskNotCompleted, "FAILED_PRECONDITION", {"PreconditionFailure"}),
        (errors.ResultExpired, "NOT_FOUND", {"ResourceInfo"}),
        (errors.QueueFull, "RESOURCE_EXHAUSTED", {"QuotaFailure", "RetryInfo"}),
        (errors.StoreUnavailable, "UNAVAILABLE", {"RetryInfo"}),
        (errors.StoreFull, "RESOURCE_EXHAUSTED", {"RetryInfo"}),
        (errors.TooManyWatches, "RESOURCE_EXHAUSTED", {"QuotaFailure"}),
        (errors.ServerDraining, "UNAVAILABLE", {"RetryInfo"}),
    ],
)
def test_an_error_has_the_code_and_the_details_that_the_contract_promises(
    kind: type[TasklineError], code: str, also: set[str]
) -> None:
    status = to_status(example(kind))

    assert code_of(example(kind)).name == code
    assert details(status).keys() == {"ErrorInfo", *also}


def test_a_missing_task_is_named() -> None:
    resource = details(to_status(errors.TaskNotFound("t-1")))["ResourceInfo"]

    assert (resource.resource_type, resource.resource_name) == ("taskline.v1.Task", "t-1")


def test_every_wrong_field_is_named() -> None:
    wrong = [FieldViolation("input.width", "too small"), FieldViolation("queue", "too long")]

    status = to_status(InvalidInput(wrong))

    listed = details(status)["BadRequest"].field_violations
    assert [(each.field, each.description) for each in listed] == [
        ("input.width", "too small"),
        ("queue", "too long"),
    ]


@pytest.mark.parametrize("letter", ["x", "ß", "🙂", "\ud800"], ids=["x", "ß", "emoji", "surrogate"])
def test_a_status_is_cut_to_what_trailers_can_carry(letter: str) -> None:
    wrong = [FieldViolation(letter * 500, letter * 5000) for _ in range(1000)]

    status = to_status(InvalidInput(wrong, index=letter * 1000))

    assert status.ByteSize() <= MAX_STATUS_SIZE
    assert details(status)["BadRequest"].field_violations
    assert details(status)["ErrorInfo"].metadata["violation_count"] == "1000"


def test_grpcs_own_retries_are_told_when_to_come_back_to_a_full_queue() -> None:
    trailers = dict(RpcStatus(to_status(errors.QueueFull("full", queue="mail"))).trailing_metadata)

    retry = details(status_pb2.Status.FromString(trailers["grpc-status-details-bin"]))["RetryInfo"]
    assert retry.retry_delay.ToTimedelta() == timedelta(seconds=1)
    assert trailers["grpc-retry-pushback-ms"] == "1000"


def test_clients_of_an_unavailable_store_keep_their_own_jitter() -> None:
    status = RpcStatus(to_status(errors.StoreUnavailable("no answer")))

    assert status.code is grpc.StatusCode.UNAVAILABLE
    assert "grpc-retry-pushback-ms" not in dict(status.trailing_metadata)


def test_a_bug_is_told_by_its_trace_alone() -> None:
    status = internal_status("0af7651916cd43dd8448eb211c80319c")

    info = details(status)["ErrorInfo"]
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert info.reason == "INTERNAL"
    assert dict(info.metadata) == {"trace_id": "0af7651916cd43dd8448eb211c80319c"}
