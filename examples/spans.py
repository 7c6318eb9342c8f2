"""Collects OpenTelemetry spans, and puts those of one trace together as a tree.

The smallest OTLP collector there can be: the protocol is one gRPC method.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A step of a trace: who did it, when, and as part of what."""

    id: bytes
    # Empty for the first one of a trace.
    parent: bytes
    trace_id: str
    name: str
    # "client", "server", "producer", "consumer" or "internal".
    kind: str
    # The process that did it, by its service.name.
    service: str
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, str | int]


class SpanCollector:
    """Keeps the spans that programs send to `endpoint`."""

    def __init__(self) -> None:
        self._spans: dict[bytes, Span] = {}
        self._arrived = asyncio.Condition()
        self.endpoint = ""

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """Collect until the block ends."""
        self, server = cls(), grpc.aio.server()
        export = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=ExportTraceServiceRequest.FromString,
            response_serializer=ExportTraceServiceResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(_SERVICE, {"Export": export})
        server.add_generic_rpc_handlers((handler,))
        self.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield self
        finally:
            await server.stop(grace=1)

    async def trace(self, trace_id: str, *, spans: int) -> list[Span]:
        """The spans of a trace, as soon as there are so many, by their start."""

        def found() -> list[Span]:
            return [span for span in self._spans.values() if span.trace_id == trace_id]

        async with self._arrived:
            await self._arrived.wait_for(lambda: len(found()) >= spans)
        return sorted(found(), key=lambda span: span.start_ns)

    async def _export(
        self, request: ExportTraceServiceRequest, context: Any
    ) -> ExportTraceServiceResponse:
        async with self._arrived:
            self._spans.update((span.id, span) for span in _spans_of(request))
            self._arrived.notify_all()
        return ExportTraceServiceResponse()


class BrokenTrace(ValueError):
    """The spans are not one tree."""


def tree_of(spans: Sequence[Span]) -> list[tuple[str, Span]]:
    """Each span with the branch that leads to it, a parent before its children.

    Raises:
        BrokenTrace: There is not one root, or a span's parent is missing.
    """
    known = {span.id for span in spans}
    roots = [span for span in spans if span.parent not in known]
    if len(roots) != 1 or roots[0].parent:
        raise BrokenTrace(f"the spans are no single tree: it would have {len(roots)} roots")
    return list(_below(roots[0], "", "", spans))


def _below(
    span: Span, branch: str, indent: str, spans: Sequence[Span]
) -> Iterator[tuple[str, Span]]:
    yield branch, span
    children = [child for child in spans if child.parent == span.id]
    for child in children:
        last = child is children[-1]
        yield from _below(
            child,
            indent + ("└─ " if last else "├─ "),
            indent + ("   " if last else "│  "),
            spans,
        )


def _spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        service = str(_values(resource.resource.attributes).get("service.name", ""))
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    id=span.span_id,
                    parent=span.parent_span_id,
                    trace_id=span.trace_id.hex(),
                    name=span.name,
                    kind=_kind(span),
                    service=service,
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
                    attributes=_values(span.attributes),
                )


def _kind(span: trace_pb2.Span) -> str:
    return trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower()


def _values(attributes: Sequence[KeyValue]) -> dict[str, str | int]:
    """Texts and whole numbers; the demo needs no others."""
    return {
        attribute.key: attribute.value.string_value or attribute.value.int_value
        for attribute in attributes
    }
