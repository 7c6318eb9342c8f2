"""Metrics for Prometheus to read, at http://HOST:PORT/metrics. Imported by sdk alone: an extra."""

import logging

import prometheus_client
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricReader

from taskline_service.option_values import ListenAddress, WrongOption

log = logging.getLogger(__name__)


def reader_at(address: ListenAddress) -> MetricReader:
    """Listen, in a thread, until the process ends; gives what collects the metrics.

    Raises:
        WrongOption: The address cannot be listened on.
    """
    try:
        server, _ = prometheus_client.start_http_server(address.port, address.host)
    except OSError as error:
        why = error.strerror or str(error)
        raise WrongOption("--metrics-listen", f"cannot listen on {address}: {why}") from error
    listening = address.with_port(server.server_port)
    log.info("metrics: http://%s/metrics", listening)
    return PrometheusMetricReader()
