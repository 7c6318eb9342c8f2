"""What a worker tells of its work to those who measure and trace it. Pure."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from taskline_service.store.values import Failure
from taskline_service.task import Claim
from taskline_service.worker.outcomes import Outcome


class AttemptObserver(Protocol):
    """Watches one attempt."""

    @property
    def trace_id(self) -> str:
        """Of the trace that the attempt belongs to; "" if there is none."""

    def ended(self, outcome: Outcome | None) -> None:
        """It ended like this; None if the task was given back, or taken away."""


class Observer(Protocol):
    """Watches a worker. Called on its event loop, and must return soon."""

    def attempt(self, claim: Claim) -> AbstractContextManager[AttemptObserver]:
        """Surrounds the execution of an attempt."""

    def trace(self) -> Mapping[str, str]:
        """What propagates the trace of the present attempt to a child process."""

    def received(self, claims: Sequence[Claim], seconds: float) -> None:
        """The store gave these tasks, after so many seconds."""

    def settled(self, seconds: float) -> None:
        """The store has recorded some outcomes, after so many seconds."""

    def completed(self, claim: Claim) -> None:
        """A task has ended with a result."""

    def failed(self, failure: Failure) -> None:
        """A task has ended with an error, and is not tried again."""


class _NobodyWatches:
    trace_id = ""

    def ended(self, outcome: Outcome | None) -> None:
        """Nobody is told."""


UNOBSERVED_ATTEMPT: AbstractContextManager[AttemptObserver] = nullcontext(_NobodyWatches())


class Unobserved:
    """Nobody measures."""

    def attempt(self, claim: Claim) -> AbstractContextManager[AttemptObserver]:
        """Nothing surrounds it."""
        return UNOBSERVED_ATTEMPT

    def trace(self) -> Mapping[str, str]:
        """There is none."""
        return {}

    def received(self, claims: Sequence[Claim], seconds: float) -> None:
        """Nobody is told."""

    def settled(self, seconds: float) -> None:
        """Nobody is told."""

    def completed(self, claim: Claim) -> None:
        """Nobody is told."""

    def failed(self, failure: Failure) -> None:
        """Nobody is told."""
