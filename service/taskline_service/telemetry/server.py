"""The SERVER span and the duration of each RPC."""

from collections.abc import Callable
from time import perf_counter
from urllib.parse import unquote

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from taskline_service.telemetry import names
from taskline_service.telemetry.instruments import active_tracer, instruments
from taskline_service.telemetry.propagation import Metadata, context_of, remember_caller

# What is the server's fault. The rest, as NOT_FOUND, is an answer like any other.
_SERVER_ERRORS = frozenset(
    {
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)


class ServerMethod:
    """What is the same for all calls of one method."""

    def __init__(self, name: str) -> None:
        """`name` as gRPC has it: "/taskline.v1.TaskService/Enqueue"."""
        self._name = name.removeprefix("/")
        self._attributes = {names.RPC_SYSTEM: "grpc", names.RPC_METHOD: self._name}

    def start(
        self, metadata: Callable[[], Metadata | None], peer: Callable[[], str]
    ) -> "ServerCall":
        """Begin a call: for the rest of this asyncio task, its span is the current one.

        Args:
            metadata: Returns the metadata of the call.
            peer: Returns the other side, as gRPC writes it: "ipv4:10.0.0.1:4711".
        """
        remember_caller(metadata)
        tracer = active_tracer()
        span = self._start_span(tracer, metadata() or (), peer()) if tracer else None
        return ServerCall(self._attributes, span)

    def _start_span(self, tracer: Tracer, metadata: Metadata, peer: str) -> Span:
        carrier = {key: value for key, value in metadata if isinstance(value, str)}
        parent = context_of(carrier)
        span = tracer.start_span(
            self._name,
            context=parent,
            kind=SpanKind.SERVER,
            attributes={**self._attributes, **_peer_attributes(peer)},
        )
        # Never detached: gRPC serves each call in an asyncio task of its own, and its
        # context ends with it. A detach would fail where a stream is finalized.
        otel_context.attach(trace.set_span_in_context(span, parent))
        return span


class ServerCall:
    """One call in progress."""

    __slots__ = ("_attributes", "_span", "_start")

    def __init__(self, attributes: dict[str, str], span: Span | None) -> None:
        self._attributes = attributes
        self._span = span
        self._start = perf_counter()

    def end(self, code: str, error: BaseException | None = None) -> None:
        """The call is over.

        Args:
            code: Name of the gRPC status code, as "NOT_FOUND".
            error: The exception that nobody expected, to be shown in the trace.
        """
        outcome = {names.RPC_STATUS_CODE: code}
        if code in _SERVER_ERRORS:
            outcome[names.ERROR_TYPE] = code
        if (into := instruments()) is not None:
            into.call_duration.record(perf_counter() - self._start, self._attributes | outcome)
        if self._span is None:
            return
        self._span.set_attributes(outcome)
        if error is not None:
            self._span.record_exception(error)
        if code in _SERVER_ERRORS:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _peer_attributes(peer: str) -> dict[str, str | int]:
    family, _, address = peer.partition(":")
    host, _, port = unquote(address).rpartition(":")
    if family in ("ipv4", "ipv6") and port.isdecimal():
        return {names.NETWORK_PEER_ADDRESS: host.strip("[]"), names.NETWORK_PEER_PORT: int(port)}
    return {names.NETWORK_PEER_ADDRESS: address} if address else {}
