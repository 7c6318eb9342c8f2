import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from taskline.v1 import task_service_pb2 as pb
from taskline.v1 import task_service_pb2_grpc as pb_grpc
from taskline.v1.task_pb2 import TaskEvent
from taskline_service.errors import (
    FieldViolation,
    InvalidInput,
    QueueFull,
    StoreUnavailable,
    TaskNotFound,
)
from taskline_service.rpc.health import Health
from taskline_service.rpc.interceptor import RpcInterceptor

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ERRORS = {
    "missing": TaskNotFound("missing"),
    "full": QueueFull("the queue is full", queue="mail"),
    "no store": StoreUnavailable("the store does not answer"),
    "bug": ValueError("secret text"),
    "grouped": ExceptionGroup("of a task group", [TaskNotFound("missing")]),
}


class Servicer:
    """Does what the task id says."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.started = asyncio.Event()
        self.written = 0

    async def GetTask(self, request: pb.GetTaskRequest, context: Any) -> pb.GetTaskResponse:
        match request.task_id:
            case "aborts":
                await context.abort(grpc.StatusCode.DATA_LOSS, "aborted by hand")
            case "sets a code":
                context.set_code(grpc.StatusCode.ABORTED)
            case "hangs":
                self.started.set()
                await asyncio.Event().wait()
            case "everything is wrong":
                raise InvalidInput([FieldViolation(f"input.ü{i}", "ß" * 900) for i in range(1000)])
            case name if name in ERRORS:
                raise ERRORS[name]
        return pb.GetTaskResponse()

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[Any]:
        try:
            yield TaskEvent(task_id="first")
            for task_id in request.task_ids:
                if error := ERRORS.get(task_id):
                    raise error
                if task_id == "aborts":
                    await context.abort(grpc.StatusCode.DATA_LOSS, "aborted by hand")
                while task_id == "endless":
                    yield TaskEvent(task_id="again")
                while task_id == "large":
                    yield TaskEvent(task_id="x" * 200_000)
                    self.written += 1
        finally:
            self.closed.set()

    async def Run(self, request: pb.RunRequest, context: Any) -> None:
        await context.write(TaskEvent(task_id="written"))
        if error := ERRORS.get(request.enqueue.task_id):
            raise error

    def handlers(self) -> grpc.GenericRpcHandler:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler

        def to_bytes(message: Message) -> bytes:
            return message.SerializeToString()

        methods: Any = {
            "GetTask": unary(self.GetTask, pb.GetTaskRequest.FromString, to_bytes),
            "Watch": stream(self.Watch, pb.WatchRequest.FromString, to_bytes),
            "Run": stream(self.Run, pb.RunRequest.FromString, to_bytes),
        }
        return grpc.method_handlers_generic_handler("taskline.v1.TaskService", methods)


class Running:
    def __init__(
        self,
        channel: grpc.aio.Channel,
        servicer: Servicer,
        health: Health,
        interceptor: RpcInterceptor,
    ) -> None:
        self.channel: Any = channel
        self.servicer, self.health, self.interceptor = servicer, health, interceptor
        self.stub: Any = pb_grpc.TaskServiceStub(channel)

    async def get(self, task_id: str, **options: Any) -> Any:
        return await self.stub.GetTask(pb.GetTaskRequest(task_id=task_id), **options)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    interceptor = RpcInterceptor()
    server = grpc.aio.server(interceptors=[interceptor])
    servicer, health = Servicer(), Health(["taskline.v1.TaskService"])
    server.add_generic_rpc_handlers((servicer.handlers(),))
    await health.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Running(channel, servicer, health, interceptor)
    await server.stop(None)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


async def one_span(exporter: InMemorySpanExporter) -> ReadableSpan:
    """The caller may have its answer a moment before the server's span ends."""
    async with asyncio.timeout(5):
        # The exporter has no event to wait for.
        while not (spans := exporter.get_finished_spans()):  # noqa: ASYNC110
            await asyncio.sleep(0)
    (span,) = spans
    return span


def details(error: grpc.RpcError, kind: Any) -> Any:
    status = status_of(error)
    message = kind()
    assert any(detail.Unpack(message) for detail in status.details)
    return message


def status_of(error: Any) -> status_pb2.Status:
    data = dict(error.trailing_metadata())["grpc-status-details-bin"]
    return status_pb2.Status.FromString(data)


@pytest.mark.parametrize(
    ("task_id", "code", "reason"),
    [
        ("missing", "NOT_FOUND", "TASK_NOT_FOUND"),
        ("full", "RESOURCE_EXHAUSTED", "QUEUE_FULL"),
        ("no store", "UNAVAILABLE", "STORE_UNAVAILABLE"),
        ("bug", "INTERNAL", "INTERNAL"),
        ("grouped", "NOT_FOUND", "TASK_NOT_FOUND"),
    ],
)
async def test_an_error_of_a_handler_arrives_as_its_status(
    running: Running, task_id: str, code: str, reason: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.get(task_id)

    info = details(caught.value, error_details_pb2.ErrorInfo)
    assert caught.value.code().name == code
    assert (info.domain, info.reason) == ("taskline", reason)


@pytest.mark.parametrize("method", ["Watch", "Run"])
async def test_a_stream_sends_what_it_has_and_then_its_error(running: Running, method: str) -> None:
    request: Any = (
        pb.WatchRequest(task_ids=["missing"])
        if method == "Watch"
        else pb.RunRequest(enqueue=pb.EnqueueRequest(task_id="missing"))
    )

    call = getattr(running.stub, method)(request)
    first = await call.read()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()

    assert first.task_id in ("first", "written")
    assert details(caught.value, error_details_pb2.ErrorInfo).reason == "TASK_NOT_FOUND"


async def test_calls_before_and_after_the_cut_are_told_that_the_server_is_draining(
    running: Running,
) -> None:
    hangs = asyncio.ensure_future(running.get("hangs"))
    await running.servicer.started.wait()
    running.interceptor.cut_off()

    for call in (hangs, running.get("a")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert details(caught.value, error_details_pb2.ErrorInfo).reason == "SERVER_DRAINING"


async def test_a_bug_is_logged_once_with_its_traceback_and_nothing_of_it_leaks(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.get("bug", metadata=[("traceparent", TRACEPARENT)])

    (record,) = caplog.records
    assert record.exc_info and record.exc_info[0] is ValueError
    assert "secret" not in str(caught.value.trailing_metadata()) + str(caught.value.details())
    info = details(caught.value, error_details_pb2.ErrorInfo)
    assert dict(info.metadata) == {"trace_id": TRACEPARENT[3:35]}


async def test_a_thousand_wrong_fields_fit_into_an_answer(running: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.get("everything is wrong")

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    listed = details(caught.value, error_details_pb2.BadRequest).field_violations
    assert listed[0].field == "input.ü0"
    info = details(caught.value, error_details_pb2.ErrorInfo)
    assert info.metadata["violation_count"] == "1000"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xff\xff", id="garbage"),
        pytest.param(b"\x0a\x02\xc3\x28", id="bad UTF-8"),
        pytest.param(b"\x0a\x03\xed\xa0\x80", id="a lone surrogate"),
        pytest.param(b"\x0a\x7fshort", id="cut short"),
    ],
)
@pytest.mark.parametrize("method", ["GetTask", "Watch"])
async def test_f20_a_request_that_cannot_be_read_is_invalid_input(
    running: Running, data: bytes, method: str
) -> None:
    path = f"/taskline.v1.TaskService/{method}"

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.channel.unary_unary(path)(data)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(caught.value, error_details_pb2.ErrorInfo).reason == "INVALID_INPUT"


async def test_handlers_may_still_abort_and_set_codes(running: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as aborted:
        await running.get("aborts")
    with pytest.raises(grpc.aio.AioRpcError) as coded:
        await running.get("sets a code")

    assert aborted.value.details() == "aborted by hand"
    assert coded.value.code() is grpc.StatusCode.ABORTED


async def test_a_generator_is_closed_at_once_when_its_caller_leaves(running: Running) -> None:
    call = running.stub.Watch(pb.WatchRequest(task_ids=["endless"]))
    await call.read()

    call.cancel()

    async with asyncio.timeout(5):
        await running.servicer.closed.wait()


async def test_a_caller_who_leaves_during_a_write_is_no_bug(
    running: Running, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    call = running.stub.Watch(pb.WatchRequest(task_ids=["large"]))
    await call.read()
    written = -1
    # As long as more can be written, none of the writes waits for the caller to read.
    while written != running.servicer.written:
        written = running.servicer.written
        await asyncio.sleep(0.1)

    call.cancel()

    async with asyncio.timeout(5):
        await running.servicer.closed.wait()
        while running.interceptor.calls:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
    assert (await one_span(exporter)).attributes["rpc.response.status_code"] == "CANCELLED"  # type: ignore[index]
    assert not caplog.records


async def test_health_checks_work_behind_it_and_leave_no_span(
    running: Running, exporter: InMemorySpanExporter
) -> None:
    watch = running.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
    first = await watch.read()
    watch.cancel()
    checked = await running.channel.unary_unary("/grpc.health.v1.Health/Check")(b"")

    assert first == checked == b"\x08\x01"
    assert exporter.get_finished_spans() == ()


async def test_a_call_has_a_server_span_in_the_trace_of_its_caller(
    running: Running, exporter: InMemorySpanExporter
) -> None:
    await running.get("fine", metadata=[("traceparent", TRACEPARENT)])

    span = await one_span(exporter)
    assert (span.name, span.kind) == ("taskline.v1.TaskService/GetTask", SpanKind.SERVER)
    assert span.parent and trace.format_span_id(span.parent.span_id) == TRACEPARENT[36:52]
    attributes = dict(span.attributes or {})
    assert attributes.pop("network.peer.port")
    assert attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "taskline.v1.TaskService/GetTask",
        "rpc.response.status_code": "OK",
        "network.peer.address": "127.0.0.1",
    }
    assert span.status.status_code is StatusCode.UNSET


async def test_a_call_without_a_trace_does_not_inherit_that_of_the_call_before(
    running: Running, exporter: InMemorySpanExporter
) -> None:
    await running.get("fine", metadata=[("traceparent", TRACEPARENT)])
    await one_span(exporter)
    exporter.clear()

    await running.get("fine")

    assert (await one_span(exporter)).parent is None


@pytest.mark.parametrize(
    ("task_id", "code", "status"),
    [
        ("missing", "NOT_FOUND", StatusCode.UNSET),
        ("full", "RESOURCE_EXHAUSTED", StatusCode.UNSET),
        ("sets a code", "ABORTED", StatusCode.UNSET),
        ("aborts", "DATA_LOSS", StatusCode.ERROR),
        ("no store", "UNAVAILABLE", StatusCode.ERROR),
        ("bug", "INTERNAL", StatusCode.ERROR),
    ],
)
async def test_a_span_is_an_error_only_if_the_server_is_to_blame(
    running: Running, exporter: InMemorySpanExporter, task_id: str, code: str, status: StatusCode
) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await running.get(task_id)

    span = await one_span(exporter)
    attributes = span.attributes or {}
    assert attributes["rpc.response.status_code"] == code
    assert span.status.status_code is status
    assert attributes.get("error.type") == (code if status is StatusCode.ERROR else None)
    assert len(span.events) == (1 if task_id == "bug" else 0)


async def test_the_span_of_a_cancelled_call_ends_as_cancelled(
    running: Running, exporter: InMemorySpanExporter
) -> None:
    call = asyncio.ensure_future(running.get("hangs"))
    async with asyncio.timeout(5):
        await running.servicer.started.wait()

    call.cancel()

    span = await one_span(exporter)
    assert (span.attributes or {})["rpc.response.status_code"] == "CANCELLED"
    assert span.status.status_code is StatusCode.UNSET


async def test_the_span_of_a_call_out_of_time_says_so(
    running: Running, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await running.get("hangs", timeout=0.1)

    span = await one_span(exporter)
    assert (span.attributes or {})["rpc.response.status_code"] == "DEADLINE_EXCEEDED"
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    ("task_id", "code"),
    [("none", "OK"), ("missing", "NOT_FOUND"), ("aborts", "DATA_LOSS"), ("endless", "CANCELLED")],
)
async def test_the_span_of_a_stream_ends_however_the_stream_does(
    running: Running, exporter: InMemorySpanExporter, task_id: str, code: str
) -> None:
    call = running.stub.Watch(pb.WatchRequest(task_ids=[task_id]))
    await call.read()
    if task_id == "endless":
        call.cancel()
    else:
        await call.code()

    span = await one_span(exporter)
    assert (span.attributes or {})["rpc.response.status_code"] == code
