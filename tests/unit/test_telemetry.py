import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from taskline_service.task import Claim, TaskSpec
from taskline_service.telemetry import (
    Outcome,
    ServerMethod,
    attempt_span,
    current_trace,
    enqueue_span,
    observe_damage,
    trace_id_of,
)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
CALLER = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
MINUTE_US = 60_000_000


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """An SDK, for this test only: the real global one can be set only once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


@pytest.fixture
def metric_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    yield reader
    provider.shutdown()


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def points(reader: InMemoryMetricReader) -> dict[str, Any]:
    data: Any = reader.get_metrics_data()
    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric.data.data_points[0] for metric in scope.metrics}


def claim(carrier: dict[str, str] | None = None, **values: Any) -> Claim:
    spec = TaskSpec(id="t-1", uid="u", task_type="a.b", queue="mail", trace=carrier or {})
    return Claim(
        **{
            "spec": spec,
            "attempt": 2,
            "failures": 1,
            "nonce": b"n",
            "create_us": 1_000_000,
            "schedule_us": 1_000_000,
            "start_us": 1_500_000,
            **values,
        }
    )


def call_from(*metadata: tuple[str, str | bytes]) -> Any:
    return ServerMethod("/taskline.v1.TaskService/Enqueue").start(
        lambda: metadata, lambda: "ipv6:%5B::1%5D:4711"
    )


async def test_client_server_enqueue_and_attempt_are_one_trace(spans: InMemorySpanExporter) -> None:
    async def serve() -> dict[str, str]:
        call = call_from(*CALLER.items())
        with enqueue_span("mail", "t-1", "a.b") as carrier:
            pass
        call.end("OK")
        return carrier

    stored = await asyncio.create_task(serve())
    with attempt_span(claim(stored), "w-1"):
        pass

    sent, server, processed = spans.get_finished_spans()
    assert [span.name for span in (server, sent, processed)] == [
        "taskline.v1.TaskService/Enqueue",
        "send mail",
        "process mail",
    ]
    assert [span.kind for span in (server, sent, processed)] == [
        SpanKind.SERVER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
    ]
    assert {trace_id(span) for span in (server, sent, processed)} == {TRACE_ID}
    assert parent_of(sent) == span_id(server)
    assert parent_of(processed) == span_id(sent)
    assert stored["tracestate"] == "vendor=1"
    assert trace_id_of(stored) == TRACE_ID


def trace_id(span: ReadableSpan) -> str:
    return trace.format_trace_id(context_of(span).trace_id)


def span_id(span: ReadableSpan) -> int:
    return context_of(span).span_id


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context
    return context


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def test_an_enqueue_span_says_what_was_sent_where(spans: InMemorySpanExporter) -> None:
    with enqueue_span("mail", "t-1", "a.b"):
        pass

    assert dict(only(spans).attributes or {}) == {
        "messaging.system": "taskline",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "mail",
        "messaging.message.id": "t-1",
        "taskline.task.type": "a.b",
    }


def test_a_task_of_a_batch_is_created(spans: InMemorySpanExporter) -> None:
    with enqueue_span("mail", "t-1", "a.b", batched=True):
        pass

    assert only(spans).name == "create mail"


async def test_a_request_may_name_a_trace_of_its_own_for_its_task(
    spans: InMemorySpanExporter,
) -> None:
    async def serve() -> dict[str, str]:
        call = call_from()
        with enqueue_span("mail", "t-1", "a.b", trace_context=CALLER) as carrier:
            pass
        call.end("OK")
        return carrier

    stored = await asyncio.create_task(serve())

    sent, server = spans.get_finished_spans()
    assert trace_id_of(stored) == trace_id(sent) == TRACE_ID != trace_id(server)
    assert [link.context.span_id for link in sent.links] == [span_id(server)]


def test_an_attempt_span_says_which_attempt_of_which_task(spans: InMemorySpanExporter) -> None:
    with attempt_span(claim(CALLER), "w-1") as attempt:
        attempt.ended(Outcome.COMPLETED)

    span = only(spans)
    assert attempt.trace_id == TRACE_ID
    assert dict(span.attributes or {}) == {
        "messaging.system": "taskline",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": "t-1",
        "messaging.client.id": "w-1",
        "taskline.task.type": "a.b",
        "taskline.task.attempt": 2,
        "taskline.task.queue_time": 0.5,
        "taskline.task.outcome": "completed",
    }
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("ahead_us", "trace_is_kept"),
    [
        pytest.param(0, True, id="at once"),
        pytest.param(MINUTE_US, True, id="in a minute"),
        pytest.param(MINUTE_US + 1, False, id="in more than a minute"),
    ],
)
def test_a_task_far_ahead_starts_a_trace_of_its_own_linked_to_the_first(
    spans: InMemorySpanExporter, ahead_us: int, trace_is_kept: bool
) -> None:
    with attempt_span(claim(CALLER, schedule_us=1_000_000 + ahead_us), "w-1"):
        pass

    span = only(spans)
    assert (trace_id(span) == TRACE_ID) is trace_is_kept
    assert (span.parent is not None) is trace_is_kept
    assert [trace.format_trace_id(link.context.trace_id) for link in span.links] == [TRACE_ID]


def test_a_late_retry_of_an_immediate_task_stays_in_its_trace(spans: InMemorySpanExporter) -> None:
    retried = claim(CALLER, schedule_us=10 * MINUTE_US)

    with attempt_span(retried, "w-1", first_schedule_us=1_000_000):
        pass

    assert trace_id(only(spans)) == TRACE_ID


def test_what_a_task_does_belongs_to_its_attempt(spans: InMemorySpanExporter) -> None:
    with attempt_span(claim(CALLER), "w-1"):
        inner = current_trace()

    assert inner["traceparent"].split("-")[2] == trace.format_span_id(span_id(only(spans)))


def test_an_exception_that_passes_through_is_named(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="no"), attempt_span(claim(), "w-1"):
        raise ValueError("no")

    span = only(spans)
    attributes = span.attributes or {}
    assert attributes["error.type"] == "builtins.ValueError"
    assert attributes["taskline.task.outcome"] == "failed"
    assert span.status.status_code is StatusCode.ERROR


def test_the_first_outcome_of_an_attempt_counts(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="no"), attempt_span(claim(), "w-1") as attempt:
        attempt.ended(Outcome.RETRYING, error_type="timeout")
        raise ValueError("no")

    attributes = only(spans).attributes or {}
    assert attributes["error.type"] == "timeout"
    assert attributes["taskline.task.outcome"] == "retrying"


def test_attempts_are_counted_and_measured(metric_reader: InMemoryMetricReader) -> None:
    with attempt_span(claim(), "w-1") as attempt:
        attempt.ended(Outcome.FAILED, error_type="builtins.ValueError")

    found = points(metric_reader)
    kind = {
        "messaging.system": "taskline",
        "messaging.operation.name": "process",
        "messaging.destination.name": "mail",
        "taskline.task.type": "a.b",
    }
    assert found["taskline.task.attempts"].value == 1
    assert found["taskline.task.attempts"].attributes == kind | {"taskline.task.outcome": "failed"}
    assert found["taskline.task.queue_time"].sum == 0.5
    assert found["messaging.process.duration"].count == 1
    assert found["messaging.process.duration"].attributes["error.type"] == "builtins.ValueError"


@pytest.mark.parametrize(
    "header",
    [("traceparent", "00-" + "x" * 1000), ("tracestate", "look at me"), ("baggage", "look at me")],
)
def test_a_hostile_trace_reaches_neither_the_log_nor_the_task(
    header: tuple[str, str], spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    name, value = header
    ServerMethod("/taskline.v1.TaskService/Enqueue").start(
        lambda: [("traceparent", TRACEPARENT), header], lambda: "ipv4:127.0.0.1:1"
    ).end("OK")
    with enqueue_span("q", "t1", "work", trace_context=dict([*CALLER.items(), header])) as stored:
        pass
    stored_before = claim(dict([*CALLER.items(), header]))
    with attempt_span(stored_before, "worker-1"):
        pass

    assert [record.message for record in caplog.records] == []
    assert value not in stored.values()
    assert (trace_id_of(stored) == TRACE_ID) == (name != "traceparent")


def test_what_is_damaged_in_the_store_is_counted(metric_reader: InMemoryMetricReader) -> None:
    met = ["task a"]
    observe_damage(lambda: len(met))
    before = points(metric_reader)["taskline.store.damaged"].value
    met.append("task b")

    assert (before, points(metric_reader)["taskline.store.damaged"].value) == (1, 2)


def test_calls_are_measured_by_method_and_code(metric_reader: InMemoryMetricReader) -> None:
    call_from().end("INTERNAL")

    duration = points(metric_reader)["rpc.server.call.duration"]
    assert duration.count == 1
    assert duration.explicit_bounds[0] == 0.005
    assert duration.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "taskline.v1.TaskService/Enqueue",
        "rpc.response.status_code": "INTERNAL",
        "error.type": "INTERNAL",
    }


async def test_the_address_of_an_ipv6_caller_is_readable(spans: InMemorySpanExporter) -> None:
    async def serve() -> None:
        call_from().end("OK")

    await asyncio.create_task(serve())

    attributes = only(spans).attributes or {}
    assert attributes["network.peer.address"] == "::1"
    assert attributes["network.peer.port"] == 4711


async def test_baggage_is_not_stored(spans: InMemorySpanExporter) -> None:
    async def serve() -> dict[str, str]:
        call = call_from(*CALLER.items(), ("baggage", "user=4711"))
        with enqueue_span("mail", "t-1", "a.b") as carrier:
            call.end("OK")
            return carrier

    assert (await asyncio.create_task(serve())).keys() == {"traceparent", "tracestate"}


@pytest.mark.parametrize(
    ("metadata", "carrier"),
    [
        pytest.param((*CALLER.items(), ("baggage", "a=b"), ("x-bin", b"")), CALLER, id="a trace"),
        pytest.param((("traceparent", "00-zz-zz-01"),), {}, id="an invalid one"),
        pytest.param((("traceparent", f"00-{'0' * 32}-b7ad6b7169203331-01"),), {}, id="zeros"),
        pytest.param((("tracestate", "vendor=1"),), {}, id="a state without a trace"),
        pytest.param((), {}, id="none"),
    ],
)
async def test_without_an_sdk_the_callers_trace_is_passed_on_unchanged(
    metadata: Any, carrier: dict[str, str]
) -> None:
    async def serve() -> tuple[dict[str, str], dict[str, str]]:
        call_from(*metadata).end("OK")
        with enqueue_span("mail", "t-1", "a.b") as stored:
            return stored, current_trace()

    assert await asyncio.create_task(serve()) == (carrier, carrier)


def test_without_an_sdk_what_a_task_calls_still_belongs_to_its_trace() -> None:
    with attempt_span(claim(CALLER), "w-1") as attempt:
        inner = trace.get_current_span().get_span_context()

    assert attempt.trace_id == TRACE_ID
    assert trace.format_trace_id(inner.trace_id) == TRACE_ID


@pytest.mark.parametrize("carrier", [{}, {"traceparent": "nonsense"}, {"other": TRACEPARENT}])
def test_a_map_without_a_trace_has_no_trace_id(carrier: dict[str, str]) -> None:
    assert trace_id_of(carrier) == ""


PROGRAM = """
from taskline_service.telemetry import setup, enqueue_span
shutdown = setup("taskline-server")
with enqueue_span("mail", "t-1", "a.b"):
    pass
shutdown()
import sys
print("opentelemetry.sdk" in sys.modules)
"""


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    path = [entry for entry in sys.path if entry]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": ":".join(path), **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_spans_leave_if_the_environment_says_so() -> None:
    finished = run(OTEL_TRACES_EXPORTER="console")

    assert '"send mail"' in finished.stderr
    assert '"service.name": "taskline-server"' in finished.stderr
    assert finished.stdout == "True\n"


def test_the_environment_names_the_service() -> None:
    finished = run(OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="mine")

    assert '"service.name": "mine"' in finished.stderr


async def test_spans_leave_for_an_otlp_endpoint() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def export(request: bytes, context: Any) -> bytes:
        received.put_nowait(request)
        return b""

    methods: Any = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    collector = grpc.aio.server()
    collector.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "opentelemetry.proto.collector.trace.v1.TraceService", methods
            ),
        )
    )
    port = collector.add_insecure_port("127.0.0.1:0")
    await collector.start()

    await asyncio.to_thread(run, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{port}")

    request = received.get_nowait()
    await collector.stop(None)
    assert b"send mail" in request
    assert b"taskline-server" in request


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
        },
    ],
    ids=["nothing is said", "disabled", "none"],
)
def test_otherwise_the_sdk_is_not_even_loaded(environment: dict[str, str]) -> None:
    finished = run(**environment)

    assert (finished.stdout, finished.stderr) == ("False\n", "")


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_{}_PROTOCOL"])
def test_a_protocol_other_than_grpc_is_refused_and_nothing_is_sent(name: str) -> None:
    protocol = {name.format(signal): "http/protobuf" for signal in ("TRACES", "METRICS")}

    finished = run(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", **protocol)

    assert finished.stdout == "False\n"
    for signal in ("TRACES", "METRICS"):
        assert (
            f"only grpc is supported, {name.format(signal)} says http/protobuf: "
            f"no {signal.lower()} are sent" in finished.stderr
        )


def test_the_protocol_of_one_signal_goes_before_that_of_all() -> None:
    finished = run(
        OTEL_TRACES_EXPORTER="console",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )

    assert "only grpc" not in finished.stderr
