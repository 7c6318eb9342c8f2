"""Client spans by OpenTelemetry's conventions for RPC; the only module that imports it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from taskline_client._tracing import Metadata
from taskline_client.errors import CallFailed

_STATUS_CODE = "rpc.response.status_code"


class OtelTracing:
    """A CLIENT span per call, and its context in the metadata.

    The span never becomes the current one: a stream is read in pieces, and what
    runs in between is the caller's own.
    """

    def __init__(self, address: str) -> None:
        self._tracer = trace.get_tracer("taskline_client")
        self._server = _server_attributes(address)

    @contextmanager
    def call(self, method: str) -> Iterator[Metadata]:
        """See Tracing."""
        attributes = {"rpc.system.name": "grpc", "rpc.method": method, **self._server}
        span = self._tracer.start_span(method, kind=SpanKind.CLIENT, attributes=attributes)
        carrier: dict[str, str] = {}
        propagate.inject(carrier, context=trace.set_span_in_context(span))
        try:
            yield tuple((key.lower(), value) for key, value in carrier.items())
        except CallFailed as error:
            _mark_failed(span, error.status.code)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            # The caller lost interest: nothing is wrong with the server.
            span.set_attribute(_STATUS_CODE, "CANCELLED")
            raise
        else:
            span.set_attribute(_STATUS_CODE, "OK")
        finally:
            span.end()


def _mark_failed(span: Span, code: str) -> None:
    span.set_attributes({_STATUS_CODE: code, "error.type": code})
    span.set_status(Status(StatusCode.ERROR))


def _server_attributes(address: str) -> dict[str, str | int]:
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        return {"server.address": host.strip("[]"), "server.port": int(port)}
    return {"server.address": address}
