"""Traces and metrics: the only package that knows OpenTelemetry.

Nothing here costs anything worth mentioning until setup(), or the program that
embeds us, has installed an SDK.
"""

from taskline_service.telemetry.attempts import AttemptSpan, Outcome, attempt_span
from taskline_service.telemetry.ends import task_failed
from taskline_service.telemetry.instruments import decide, observe_damage
from taskline_service.telemetry.operations import send_operation
from taskline_service.telemetry.propagation import (
    current_trace,
    current_trace_id,
    inside,
    trace_id_of,
)
from taskline_service.telemetry.queues import observed_queues
from taskline_service.telemetry.sending import enqueue_span
from taskline_service.telemetry.server import ServerCall, ServerMethod
from taskline_service.telemetry.setup import setup
from taskline_service.telemetry.watches import conflated, watching

__all__ = [
    "AttemptSpan",
    "Outcome",
    "ServerCall",
    "ServerMethod",
    "attempt_span",
    "conflated",
    "current_trace",
    "current_trace_id",
    "decide",
    "enqueue_span",
    "inside",
    "observe_damage",
    "observed_queues",
    "send_operation",
    "setup",
    "task_failed",
    "trace_id_of",
    "watching",
]
