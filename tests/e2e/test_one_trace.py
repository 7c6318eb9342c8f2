"""One trace per task life: client, server, enqueue and attempts, over the wire and the store."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_trace_id

from examples.spans import SpanCollector
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_client import EnqueueOptions
from taskline_service import TaskContext
from tests.stack import Stack

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """An SDK for this test only: a process can have one of its own, once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def by_kind(exporter: InMemorySpanExporter, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.kind is kind]


def trace_id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_trace_id(span.context.trace_id)


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


async def test_the_life_of_a_task_is_one_trace(stack: Stack, spans: InMemorySpanExporter) -> None:
    @stack.tasks.task("flaky", queue="mail", initial_backoff=timedelta(milliseconds=5))
    async def flaky(ctx: TaskContext) -> int:
        if ctx.attempt < 2:
            raise ConnectionError("not yet")
        return ctx.attempt

    async with stack.worker():
        handle = await stack.client.enqueue("flaky")
        await handle.result()
    task = await handle.get()

    (client,) = [s for s in by_kind(spans, SpanKind.CLIENT) if s.name.endswith("/Enqueue")]
    (server,) = [s for s in by_kind(spans, SpanKind.SERVER) if s.name.endswith("/Enqueue")]
    (producer,) = by_kind(spans, SpanKind.PRODUCER)
    attempts = by_kind(spans, SpanKind.CONSUMER)
    assert [span.name for span in (producer, *attempts)] == [
        "send mail",
        "process mail",
        "process mail",
    ]
    assert {trace_id_of(s) for s in (client, server, producer, *attempts)} == {task.trace_id}
    assert client.context and server.context and producer.context
    assert parent_of(server) == client.context.span_id
    assert parent_of(producer) == server.context.span_id
    assert {parent_of(attempt) for attempt in attempts} == {producer.context.span_id}
    assert [dict(a.attributes or {})["taskline.task.attempt"] for a in attempts] == [1, 2]


@pytest.mark.one_partition
async def test_a_task_scheduled_more_than_a_minute_ahead_starts_a_trace_of_its_own(
    stack: Stack, spans: InMemorySpanExporter
) -> None:
    @stack.tasks.task("later")
    async def later() -> None: ...

    handle = await stack.client.enqueue("later", options=EnqueueOptions(delay=timedelta(minutes=2)))
    # As if the two minutes were over.
    due = stack.store.keys.prefix + b"due"
    await stack.store.redis.call(b"ZADD", due, b"1", handle.id)
    async with stack.worker():
        await handle.result()

    (producer,) = by_kind(spans, SpanKind.PRODUCER)
    (attempt,) = by_kind(spans, SpanKind.CONSUMER)
    assert attempt.parent is None
    assert trace_id_of(attempt) != trace_id_of(producer)
    assert [link.context.span_id for link in attempt.links] == [
        producer.context.span_id if producer.context else 0
    ]


async def test_without_an_sdk_the_callers_trace_is_kept(stack: Stack) -> None:
    @stack.tasks.task("plain")
    async def plain() -> None: ...

    metadata = (("traceparent", CALLER),)
    answer = await stack.stub.Enqueue(pb.EnqueueRequest(task_type="plain"), metadata=metadata)

    assert answer.task.trace_id == CALLER.split("-")[1]


async def test_the_entries_of_a_batch_may_belong_to_several_traces(stack: Stack) -> None:
    @stack.tasks.task("plain")
    async def plain() -> None: ...

    other = CALLER.replace("0af7", "1bf7")
    answer = await stack.stub.BatchEnqueue(
        pb.BatchEnqueueRequest(
            requests=[
                pb.EnqueueRequest(task_type="plain", trace_context={"traceparent": CALLER}),
                pb.EnqueueRequest(task_type="plain", trace_context={"traceparent": other}),
                pb.EnqueueRequest(task_type="plain"),
            ]
        )
    )

    traces = [response.task.trace_id for response in answer.responses]
    assert traces == [CALLER.split("-")[1], other.split("-")[1], ""]


async def test_task_code_runs_inside_the_span_of_its_attempt(
    stack: Stack, spans: InMemorySpanExporter
) -> None:
    seen: list[str] = []

    @stack.tasks.task("inner")
    def inner() -> None:
        context = trace.get_current_span().get_span_context()
        seen.append(format_trace_id(context.trace_id))

    async with stack.worker():
        handle = await stack.client.enqueue("inner")
        await handle.result()

    task = await stack.stub.GetTask(pb.GetTaskRequest(task_id=handle.id))
    assert seen == [task.task.trace_id]
    assert task.task.state == task_pb2.Task.STATE_COMPLETED


async def test_the_command_line_sends_the_first_span_of_the_trace(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    @stack.tasks.task("plain")
    async def plain() -> int:
        return 1

    async with SpanCollector.running() as collector, stack.worker():
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        command = [sys.executable, "-m", "taskline_client.cli", "run", "plain", "--task-id", "p"]
        process = await asyncio.create_subprocess_exec(
            *command, "--address", stack.address, stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        task = (await stack.stub.GetTask(pb.GetTaskRequest(task_id="p"))).task
        (span, *_) = await collector.trace(task.trace_id, spans=1)

    assert printed.strip().endswith(b"1")
    assert (span.kind, span.service) == ("client", "taskline-cli")
