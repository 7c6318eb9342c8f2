"""How a trace travels: over the wire in metadata, through the store in a small map."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, lru_cache

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator

from taskline_service.telemetry.instruments import active_tracer
from taskline_service.telemetry.well_formed import well_formed

Metadata = Iterable[tuple[str, str | bytes]]

# May hold what users never meant to have stored.
_NEVER_STORED = "baggage"


class _Caller:
    """Of the call that is served: most never ask, and one that does may for each of its tasks."""

    def __init__(self, metadata: Callable[[], Metadata | None]) -> None:
        self._metadata = metadata

    @cached_property
    def trace(self) -> dict[str, str]:
        return carrier_of(self._metadata() or ())


_caller: ContextVar[_Caller | None] = ContextVar("_caller", default=None)


def remember_caller(metadata: Callable[[], Metadata | None]) -> None:
    """Keep the metadata of the call that this asyncio task serves."""
    _caller.set(_Caller(metadata))


def current_trace() -> dict[str, str]:
    """The present trace as a map to store or send; empty if there is none.

    Without an SDK that is the caller's own trace context, unchanged, so that a
    trace stays whole even if it passes a service that records nothing.
    """
    if active_tracer() is None:
        caller = _caller.get()
        return dict(caller.trace) if caller else {}
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    carrier.pop(_NEVER_STORED, None)
    return carrier


def attempt_trace() -> dict[str, str]:
    """What a child process needs to go on with the present trace; empty if there is none."""
    carrier: dict[str, str] = {}
    if otel_context.get_current():  # most tasks belong to none
        propagate.inject(carrier)
    return carrier


@contextmanager
def inside(carrier: Mapping[str, str]) -> Iterator[None]:
    """Go on with a trace of another process until the block ends."""
    token = otel_context.attach(context_of(carrier))
    try:
        yield
    finally:
        otel_context.detach(token)


def trace_id_of(carrier: Mapping[str, str]) -> str:
    """The trace id in such a map: 32 hexadecimal digits, or "" without a valid one."""
    if not carrier:
        return ""
    span = trace.get_current_span(context_of(carrier)).get_span_context()
    return trace.format_trace_id(span.trace_id) if span.is_valid else ""


def current_trace_id() -> str:
    """The trace id that a caller can be given to ask about this call; may be ""."""
    return trace_id_of(current_trace())


def carrier_of(metadata: Metadata) -> dict[str, str]:
    """The trace context in `metadata`; empty unless it is a valid one."""
    wanted = _fields_of(propagate.get_global_textmap())
    carrier = {key: value for key, value in metadata if key in wanted and isinstance(value, str)}
    return well_formed(carrier) if trace_id_of(carrier) else {}


@lru_cache(maxsize=1)
def _fields_of(textmap: TextMapPropagator) -> set[str]:
    return textmap.fields - {_NEVER_STORED}


def context_of(carrier: Mapping[str, str]) -> Context:
    """What `carrier` says, on top of nothing."""
    return propagate.extract(well_formed(carrier), context=Context())
