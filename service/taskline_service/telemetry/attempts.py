"""The span of one attempt, and the metrics of it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from time import perf_counter

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer

from taskline_service.task import Claim
from taskline_service.telemetry import names
from taskline_service.telemetry.bounded import bounded_error, kind_of
from taskline_service.telemetry.instruments import active_tracer, instruments
from taskline_service.telemetry.messages import message_attributes, message_kind
from taskline_service.telemetry.propagation import context_of

# A trace that stays open for hours is dropped by samplers that wait for its end.
_LONGEST_WAIT_IN_ONE_TRACE = timedelta(minutes=1)
_MICROSECOND = timedelta(microseconds=1)


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELLED = "cancelled"
    # Given back by a worker that shuts down.
    RELEASED = "released"
    # The lease was over, or taken by another.
    LOST = "lost"


class AttemptSpan:
    """One attempt in progress: tell it how the attempt ended."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.outcome: Outcome | None = None
        self.error_type = ""

    @property
    def trace_id(self) -> str:
        """Of the trace that the attempt belongs to; "" if there is none."""
        context = self._span.get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else ""

    def ended(self, outcome: Outcome, *, error_type: str = "") -> None:
        """Record the outcome; the first one counts.

        Args:
            outcome: How the attempt ended.
            error_type: Class of the exception, "timeout" or "lost"; "" for no error.
        """
        if self.outcome is None:
            self.outcome, self.error_type = outcome, error_type


@contextmanager
def attempt_span(
    claim: Claim, worker: str, *, first_schedule_us: int | None = None
) -> Iterator[AttemptSpan]:
    """A CONSUMER span around one attempt, and the metrics of it.

    It is part of the trace that enqueued the task. Only a task that was scheduled
    more than a minute ahead starts a trace of its own, linked to that one.

    An exception that passes through counts as "failed", a cancellation as "cancelled",
    unless ended() has said otherwise.

    Args:
        claim: What is executed.
        worker: Id of the worker.
        first_schedule_us: When the task was first due, in microseconds. By default the
            claim's own `schedule_us`, which is right until the first retry moves it.
    """
    due = claim.schedule_us if first_schedule_us is None else first_schedule_us
    ahead = (due - claim.create_us) * _MICROSECOND > _LONGEST_WAIT_IN_ONE_TRACE
    span, context = _start_attempt(claim, worker, own_trace=ahead)
    attempt = AttemptSpan(span)
    token = otel_context.attach(context)
    start = perf_counter()
    try:
        yield attempt
    except asyncio.CancelledError:
        attempt.ended(Outcome.CANCELLED)
        raise
    except BaseException as error:
        attempt.ended(Outcome.FAILED, error_type=_qualified_name(type(error)))
        raise
    finally:
        _end_attempt(claim, attempt, span, perf_counter() - start)
        otel_context.detach(token)


def _start_attempt(claim: Claim, worker: str, *, own_trace: bool) -> tuple[Span, Context]:
    creation = context_of(claim.spec.trace)
    tracer = active_tracer()
    if tracer is None:
        # Nothing is recorded, but what the task calls still belongs to the trace.
        return trace.get_current_span(creation), creation
    parent = Context() if own_trace else creation
    span = _attempt_started(tracer, claim, worker, parent, _links(creation))
    return span, trace.set_span_in_context(span, parent)


def _attempt_started(
    tracer: Tracer, claim: Claim, worker: str, parent: Context, links: Sequence[Link]
) -> Span:
    spec = claim.spec
    return tracer.start_span(
        f"process {spec.queue}",
        context=parent,
        kind=SpanKind.CONSUMER,
        links=links,
        attributes={
            **message_attributes("process", spec.queue, spec.id),
            names.MESSAGING_CLIENT_ID: worker,
            names.TASK_TYPE: spec.task_type,
            names.TASK_ATTEMPT: claim.attempt,
            names.TASK_QUEUE_TIME: _queue_seconds(claim),
        },
    )


def _end_attempt(claim: Claim, attempt: AttemptSpan, span: Span, seconds: float) -> None:
    outcome = attempt.outcome or Outcome.COMPLETED
    _measure(claim, outcome, attempt.error_type, seconds)
    error = {names.ERROR_TYPE: attempt.error_type} if attempt.error_type else {}
    span.set_attributes({names.TASK_OUTCOME: outcome.value, **error})
    if error:
        span.set_status(StatusCode.ERROR)
    span.end()


def _measure(claim: Claim, outcome: Outcome, error_type: str, seconds: float) -> None:
    if (into := instruments()) is None:
        return
    kind = message_kind("process") | kind_of(claim.spec.task_type, claim.spec.queue)
    into.process_duration.record(seconds, kind | bounded_error(error_type))
    into.queue_time.record(_queue_seconds(claim), kind)
    into.attempts.add(1, kind | {names.TASK_OUTCOME: outcome.value})


def _links(creation: Context) -> list[Link]:
    creator = trace.get_current_span(creation).get_span_context()
    return [Link(creator)] if creator.is_valid else []


def _queue_seconds(claim: Claim) -> float:
    return max(0, claim.start_us - claim.schedule_us) / 1e6


def _qualified_name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
