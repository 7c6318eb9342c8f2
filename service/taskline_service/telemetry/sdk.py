"""The OpenTelemetry SDK, wired. Imported by setup() alone, since it is an extra."""

import sys
from collections.abc import Callable, Mapping

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter


def install(
    resource_attributes: Mapping[str, str], *, span_exporter: str, metric_exporter: str
) -> Callable[[], None]:
    """Install providers for the signals whose exporter is not "none".

    Returns:
        Sends what is left, and closes the exporters.
    """
    resource = Resource.create(dict(resource_attributes))
    closers: list[Callable[[], None]] = []
    if span_exporter != "none":
        closers.append(_install_traces(resource, _span_exporter(span_exporter)))
    if metric_exporter != "none":
        closers.append(_install_metrics(resource, _metric_exporter(metric_exporter)))

    def shutdown() -> None:
        for close in closers:
            close()

    return shutdown


def _install_traces(resource: Resource, exporter: SpanExporter) -> Callable[[], None]:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def _install_metrics(resource: Resource, exporter: MetricExporter) -> Callable[[], None]:
    reader = PeriodicExportingMetricReader(exporter)
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider.shutdown


# To standard error: standard output carries the line that says the server is ready.
def _span_exporter(kind: str) -> SpanExporter:
    if kind == "console":
        return ConsoleSpanExporter(out=sys.stderr)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _metric_exporter(kind: str) -> MetricExporter:
    if kind == "console":
        return ConsoleMetricExporter(out=sys.stderr)
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter()
