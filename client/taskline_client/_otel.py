"""Client spans and durations by OpenTelemetry's conventions; the only module that imports it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from taskline_client._tracing import Metadata
from taskline_client.errors import CallFailed

_STATUS_CODE = "rpc.response.status_code"
_ERROR_TYPE = "error.type"
# In seconds, as the conventions recommend them.
_DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


class OtelTracing:
    """A CLIENT span per call, and its context in the metadata.

    The span never becomes the current one: a stream is read in pieces, and what
    runs in between is the caller's own.
    """

    def __init__(self, address: str) -> None:
        self._tracer = trace.get_tracer("taskline_client")
        self._duration = metrics.get_meter("taskline_client").create_histogram(
            "rpc.client.call.duration",
            "s",
            "From making a call to its end.",
            explicit_bucket_boundaries_advisory=_DURATION_BOUNDS,
        )
        self._server = _server_attributes(address)

    @contextmanager
    def call(self, method: str) -> Iterator[Metadata]:
        """See Tracing."""
        attributes = {"rpc.system.name": "grpc", "rpc.method": method, **self._server}
        span = self._tracer.start_span(method, kind=SpanKind.CLIENT, attributes=attributes)
        outcome, began_at = dict[str, str](), perf_counter()
        carrier: dict[str, str] = {}
        propagate.inject(carrier, context=trace.set_span_in_context(span))
        try:
            yield tuple((key.lower(), value) for key, value in carrier.items())
        except CallFailed as error:
            code = error.status.code
            outcome = {_STATUS_CODE: code, _ERROR_TYPE: code}
            span.set_status(Status(StatusCode.ERROR))
            raise
        except (asyncio.CancelledError, GeneratorExit):
            # The caller lost interest: nothing is wrong with the server.
            outcome = {_STATUS_CODE: "CANCELLED"}
            raise
        else:
            outcome = {_STATUS_CODE: "OK"}
        finally:
            self._duration.record(perf_counter() - began_at, {**attributes, **outcome})
            span.set_attributes(outcome)
            span.end()


def _server_attributes(address: str) -> dict[str, str | int]:
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        return {"server.address": host.strip("[]"), "server.port": int(port)}
    return {"server.address": address}
