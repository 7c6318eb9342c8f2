"""Traces and metrics: the only package that knows OpenTelemetry.

Nothing here costs anything worth mentioning until setup(), or the program that
embeds us, has installed an SDK.
"""

from taskline_service.telemetry.attempts import AttemptSpan, Outcome, attempt_span
from taskline_service.telemetry.instruments import observe_damage
from taskline_service.telemetry.propagation import (
    attempt_trace,
    current_trace,
    current_trace_id,
    inside,
    trace_id_of,
)
from taskline_service.telemetry.sending import enqueue_span
from taskline_service.telemetry.server import ServerCall, ServerMethod
from taskline_service.telemetry.setup import setup

__all__ = [
    "AttemptSpan",
    "Outcome",
    "ServerCall",
    "ServerMethod",
    "attempt_span",
    "attempt_trace",
    "current_trace",
    "current_trace_id",
    "enqueue_span",
    "inside",
    "observe_damage",
    "setup",
    "trace_id_of",
]
