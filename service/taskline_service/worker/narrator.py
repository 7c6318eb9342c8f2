"""The lines of the log that tell of an attempt: its start, and how it ended.

That all goes well costs most tasks more than their own work to tell: it is told at DEBUG only.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from taskline_service.logs import TaskFields
from taskline_service.store.values import Failure, Verdict
from taskline_service.task import Claim, ErrorType, TaskError
from taskline_service.worker.outcomes import Outcome

log = logging.getLogger(__name__)


class Narrator:
    """Tells of one attempt, from any thread."""

    def __init__(self, claim: Claim, worker: str, call: Callable[[], str]) -> None:
        """`call` gives how the function is called, as far as is known before its input is read."""
        # What each line says of the task.
        self.about: TaskFields = {
            "task_id": claim.task_id,
            "task_type": claim.spec.task_type,
            "queue": claim.spec.queue,
            "attempt": claim.attempt,
            "worker": worker,
        }
        self._task_id = claim.task_id
        self._attempt = claim.attempt
        self._call = call
        self._began_at = time.monotonic()
        self._seconds = 0.0

    def belongs_to(self, trace_id: str) -> None:
        """To this trace; "" for none."""
        if trace_id:
            self.about = {**self.about, "trace_id": trace_id}

    def called(self, call: Callable[[], str]) -> None:
        """The code starts, called like this."""
        self._call = call
        if log.isEnabledFor(logging.DEBUG):
            words = call()
            self._call = lambda: words
            log.debug("task %s: %s started", self._task_id, words, extra=self.about)

    def ended(self) -> None:
        """The code has ended; what comes of it is told when the store has it."""
        self._seconds = time.monotonic() - self._began_at

    def given_back(self) -> None:
        """Its worker ends, or could not keep it: it waits in its queue again."""
        self._tell(logging.INFO, "given back", outcome="released")

    def recorded(self, outcome: Outcome, verdict: Verdict) -> None:
        """The store has the outcome, or would not have it."""
        if verdict is Verdict.LOST:
            log.warning(
                "task %s: outcome of attempt %d dropped: the task is no longer ours",
                self._task_id,
                self._attempt,
                extra=self.about,
            )
        elif not isinstance(outcome, Failure):
            self._tell(logging.DEBUG, "completed", outcome="completed")
        elif outcome.error.error_type is ErrorType.CANCELLED:
            self._tell(logging.INFO, "cancelled", outcome="cancelled")
        else:
            again = None if verdict is Verdict.GIVEN_UP else outcome.retry_delay
            self._tell_failure(outcome.error, again)

    def _tell_failure(self, error: TaskError, again: timedelta | None) -> None:
        """Without its message, which may hold whatever the task was given."""
        kind = error.exception_class or error.error_type.value
        about = {"error_type": error.error_type.value, "exception_class": error.exception_class}
        if again is None:
            self._tell(logging.INFO, "failed", f": {kind}", outcome="failed", **about)
        else:
            seconds = again.total_seconds()
            rest = f": {kind}; next attempt in {seconds:.1f} s"
            self._tell(logging.INFO, "failed", rest, outcome="retrying", retry_in=seconds, **about)

    def _tell(self, level: int, how: str, rest: str = "", **about: str | float) -> None:
        if log.isEnabledFor(level):
            log.log(
                level,
                "task %s: %s %s in %.3f s%s",
                *(self._task_id, self._call(), how, self._seconds, rest),
                extra={"seconds": round(self._seconds, 6), **about, **self.about},
            )
