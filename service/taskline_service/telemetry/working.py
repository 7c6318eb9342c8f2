"""What is traced and measured of a worker."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from taskline_service.store.values import Failure
from taskline_service.task import Claim, ErrorType
from taskline_service.telemetry import ends, operations
from taskline_service.telemetry.attempts import AttemptSpan, Outcome, attempt_span
from taskline_service.telemetry.instruments import is_recording
from taskline_service.telemetry.propagation import attempt_trace
from taskline_service.worker.observer import UNOBSERVED_ATTEMPT, AttemptObserver
from taskline_service.worker.outcomes import Outcome as Recorded


class WorkerTelemetry:
    """A worker's observer."""

    def __init__(self, worker: str) -> None:
        """`worker` is its id."""
        self._worker = worker

    def attempt(self, claim: Claim) -> AbstractContextManager[AttemptObserver]:
        """A span around an attempt."""
        if not (claim.spec.trace or is_recording()):
            return UNOBSERVED_ATTEMPT
        return self._traced(claim)

    @contextmanager
    def _traced(self, claim: Claim) -> Iterator[AttemptObserver]:
        first_due_us = claim.create_us + claim.spec.scheduled_ahead // timedelta(microseconds=1)
        with attempt_span(claim, self._worker, first_schedule_us=first_due_us) as span:
            yield _Attempt(span)

    def trace(self) -> Mapping[str, str]:
        """What propagates the present trace."""
        return attempt_trace()

    def received(self, claims: Sequence[Claim], seconds: float) -> None:
        """Count them."""
        operations.received([claim.spec.queue for claim in claims], seconds)

    def settled(self, seconds: float) -> None:
        """Measure it."""
        operations.settled(seconds)

    def completed(self, claim: Claim) -> None:
        """Count it."""
        ends.task_completed(claim.spec.task_type, claim.spec.queue)

    def failed(self, failure: Failure) -> None:
        """Count it."""
        spec = failure.claim.spec
        ends.task_failed(spec.task_type, spec.queue, failure.error.error_type)


class _Attempt:
    """Tells a span how its attempt ended."""

    def __init__(self, span: AttemptSpan) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        return self._span.trace_id

    def ended(self, outcome: Recorded | None) -> None:
        if outcome is None:
            self._span.ended(Outcome.RELEASED)
        elif not isinstance(outcome, Failure):
            self._span.ended(Outcome.COMPLETED)
        elif outcome.error.error_type is ErrorType.CANCELLED:
            self._span.ended(Outcome.CANCELLED)
        else:
            error, again = outcome.error, outcome.retry_delay is not None
            self._span.ended(
                Outcome.RETRYING if again else Outcome.FAILED,
                error_type=error.exception_class or error.error_type.value,
            )
