"""The OpenTelemetry SDK, wired. Imported by setup() alone, since it is an extra."""

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from taskline_service.option_values import ListenAddress
from taskline_service.telemetry.instruments import instruments

log = logging.getLogger(__name__)

_SHUTDOWN_LIMIT_S = 3.0


def install(
    resource_attributes: Mapping[str, str],
    *,
    span_exporter: str,
    metric_exporter: str,
    metrics_listen: ListenAddress | None = None,
) -> Callable[[], None]:
    """Install providers for the signals whose exporter is not "none".

    Returns:
        Sends what is left, and closes the exporters.

    Raises:
        WrongOption: Metrics cannot be read where `metrics_listen` says.
    """
    # Processes of one service count on their own, so each has an id.
    own = {SERVICE_INSTANCE_ID: str(uuid.uuid4())}
    resource = Resource.create({**own, **resource_attributes})
    closers: list[Callable[[], None]] = []
    if span_exporter != "none":
        closers.append(_install_traces(resource, _span_exporter(span_exporter)))
    readers: list[MetricReader] = []
    if metric_exporter != "none":
        readers.append(PeriodicExportingMetricReader(_metric_exporter(metric_exporter)))
    if metrics_listen is not None:
        # Late, because it is an extra of its own.
        from taskline_service.telemetry import prometheus

        readers.append(prometheus.reader_at(metrics_listen))
    if readers:
        closers.append(_install_metrics(resource, readers))

    def shutdown() -> None:
        # Side by side, and no longer than that: an exporter tries again for many seconds
        # when nobody listens, and what ends must not wait for who watches it.
        threads = [threading.Thread(target=close, daemon=True) for close in closers]
        for thread in threads:
            thread.start()
        give_up = time.monotonic() + _SHUTDOWN_LIMIT_S
        for thread in threads:
            thread.join(max(0.0, give_up - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            log.warning("telemetry: not everything could be sent before the end")

    return shutdown


def _install_traces(resource: Resource, exporter: SpanExporter) -> Callable[[], None]:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def _install_metrics(resource: Resource, readers: list[MetricReader]) -> Callable[[], None]:
    provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    instruments()  # so that what is read when it is collected can be, before anything happens
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
