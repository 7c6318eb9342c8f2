"""Client spans, as an SDK sees them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import TaskNotFound
from tests.client.conftest import Connect
from tests.client.scripted import Context, refuse, snapshot


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """An SDK for one test; the process can have only one of its own, once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


async def test_a_call_has_a_client_span_and_sends_its_context(
    connect: Connect, spans: InMemorySpanExporter
) -> None:
    received: dict[str, Any] = {}

    async def enqueue(_: service.EnqueueRequest, context: Context) -> service.EnqueueResponse:
        received.update(context.invocation_metadata() or ())
        return service.EnqueueResponse()

    client = await connect(Enqueue=enqueue)

    await client.enqueue("demo.any")

    (span,) = spans.get_finished_spans()
    assert span.name == "taskline.v1.TaskService/Enqueue"
    assert span.kind is SpanKind.CLIENT
    attributes = dict(span.attributes or {})
    assert isinstance(attributes.pop("server.port"), int)
    assert attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "taskline.v1.TaskService/Enqueue",
        "rpc.response.status_code": "OK",
        "server.address": "127.0.0.1",
    }
    assert span.context and f"{span.context.span_id:016x}" in received["traceparent"]


async def test_a_failed_call_marks_its_span(connect: Connect, spans: InMemorySpanExporter) -> None:
    async def get_task(_: service.GetTaskRequest, context: Context) -> Any:
        await refuse(context, grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND")

    client = await connect(GetTask=get_task)

    with pytest.raises(TaskNotFound):
        await client.get("t")

    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes and span.attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert not span.events


async def test_a_stream_ends_its_span_when_it_is_left(
    connect: Connect, spans: InMemorySpanExporter
) -> None:
    async def watch(_: service.WatchRequest, __: Context) -> AsyncIterator[pb.TaskEvent]:
        while True:
            yield snapshot("t", pb.Task.STATE_RUNNING)

    client = await connect(Watch=watch)
    events = client.watch("t")

    await anext(events)
    assert not spans.get_finished_spans()
    await events.aclose()

    (span,) = spans.get_finished_spans()
    assert span.attributes and span.attributes["rpc.response.status_code"] == "CANCELLED"


async def test_tasks_that_go_in_one_call_keep_each_its_own_trace(
    connect: Connect, spans: InMemorySpanExporter
) -> None:
    received = list[str]()

    async def batch_enqueue(
        request: service.BatchEnqueueRequest, _: Context
    ) -> service.BatchEnqueueResponse:
        received.extend(entry.trace_context["traceparent"] for entry in request.requests)
        answers = [service.EnqueueResponse() for _ in request.requests]
        return service.BatchEnqueueResponse(responses=answers)

    client = await connect(BatchEnqueue=batch_enqueue)

    await asyncio.gather(*(client.enqueue("demo.any") for _ in range(3)))

    called = [span.context for span in spans.get_finished_spans() if "/Enqueue" in span.name]
    assert [traceparent.split("-")[1:3] for traceparent in received] == [
        [f"{context.trace_id:032x}", f"{context.span_id:016x}"] for context in called if context
    ]
    assert len(set(received)) == 3
