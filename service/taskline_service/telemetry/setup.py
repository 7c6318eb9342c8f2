"""Switches tracing and metrics on, if the standard OTEL_* variables ask for it."""

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping

from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider

from taskline_service.option_values import ListenAddress, WrongOption

log = logging.getLogger(__name__)


def setup(
    service_name: str,
    *,
    environ: Mapping[str, str] = os.environ,
    metrics_listen: ListenAddress | None = None,
) -> Callable[[], None]:
    """Install the OpenTelemetry SDK if the environment, or `metrics_listen`, asks for one.

    An OTLP endpoint (OTEL_EXPORTER_OTLP_ENDPOINT, or that of one signal) asks, and so
    does OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER with `otlp` or `console`;
    `none` and OTEL_SDK_DISABLED=true forbid. An SDK that is there already stays.

    Args:
        service_name: Used unless the environment names the service.
        environ: Where the variables are looked up to decide; the SDK itself reads
            the process's own.
        metrics_listen: Where Prometheus can read metrics; None for nowhere.

    Returns:
        To be called at the end of the process: sends what is left.

    Raises:
        WrongOption: Metrics cannot be read there.
    """
    if metrics_listen is not None:
        _check_prometheus(environ)
    exporters = {
        signal: exporter
        for signal in ("TRACES", "METRICS")
        if (exporter := _exporter(signal, environ)) != "none"
    }
    if not exporters and metrics_listen is None:
        return _nothing
    if not isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        if metrics_listen is not None:
            log.warning("--metrics-listen: the tasks have installed an SDK of their own: unused")
        return _nothing
    attributes = {} if _names_the_service(environ) else {"service.name": service_name}
    try:
        # Late, because it is an extra, and takes half a second.
        from taskline_service.telemetry import sdk

        return sdk.install(
            attributes,
            span_exporter=exporters.get("TRACES", "none"),
            metric_exporter=exporters.get("METRICS", "none"),
            metrics_listen=metrics_listen,
        )
    except ImportError as missing:
        log.warning(
            "OTEL_* asks for telemetry; pip install '/path/to/taskline[otel]' for it: %s", missing
        )
        return _nothing


def _check_prometheus(environ: Mapping[str, str]) -> None:
    if _is_disabled(environ):
        raise WrongOption("--metrics-listen", "contradicts OTEL_SDK_DISABLED=true")
    if not _has_exporter_for_prometheus():
        raise WrongOption("--metrics-listen", "needs pip install '/path/to/taskline[prometheus]'")


def _has_exporter_for_prometheus() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.prometheus") is not None
    except ModuleNotFoundError:  # not even the package above it
        return False


def _is_disabled(environ: Mapping[str, str]) -> bool:
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _exporter(signal: str, environ: Mapping[str, str]) -> str:
    """Which exporter a signal goes to: "otlp", "console" or "none"."""
    if _is_disabled(environ):
        return "none"
    chosen = environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    if chosen == "otlp" or (not chosen and _has_endpoint(signal, environ)):
        return "otlp" if _speaks_grpc(signal, environ) else "none"
    if chosen in ("console", "none"):
        return chosen
    if chosen:
        log.warning("OTEL_%s_EXPORTER: %r is none of otlp, console, none", signal, chosen)
    return "none"


def _has_endpoint(signal: str, environ: Mapping[str, str]) -> bool:
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return any(environ.get(name) for name in endpoints)


def _speaks_grpc(signal: str, environ: Mapping[str, str]) -> bool:
    """Whether the protocol that is asked for is ours; to another one, gRPC would be noise."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := environ.get(name, "").strip().lower():
            if protocol != "grpc":
                log.error(
                    "telemetry: only grpc is supported, %s says %s: no %s are sent",
                    name,
                    protocol,
                    signal.lower(),
                )
            return protocol == "grpc"
    return True


def _names_the_service(environ: Mapping[str, str]) -> bool:
    attributes = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(environ.get("OTEL_SERVICE_NAME")) or "service.name=" in attributes


def _nothing() -> None:
    """There is nothing to send."""
