"""A client span per call where OpenTelemetry is installed; nothing where it is not."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Metadata = tuple[tuple[str, str], ...]


class Tracing(Protocol):
    """Surrounds each call."""

    def call(self, method: str) -> AbstractContextManager[Metadata]:
        """Trace one call of `method`, "package.Service/Method".

        What the context gives is the metadata to send with the call. It may be
        entered in one task and left in another.
        """


class NoTracing:
    """For callers without OpenTelemetry."""

    def call(self, method: str) -> AbstractContextManager[Metadata]:
        """No span, no metadata."""
        return nullcontext(())


def tracing_to(address: str) -> Tracing:
    """Tracing of the calls to a server.

    OpenTelemetry is imported here, not with the client: it would double the
    time that takes.
    """
    try:
        from taskline_client._otel import OtelTracing
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != "opentelemetry":
            raise
        return NoTracing()
    return OtelTracing(address)
