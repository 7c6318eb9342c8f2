"""What running code tells, handed to those who send it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from taskline_service.task import Claim, Progress
from taskline_service.tasks.subtasks import Answer, Question
from taskline_service.worker.asking import Asking
from taskline_service.worker.narrator import Narrator
from taskline_service.worker.progress import ProgressSender
from taskline_service.worker.story import StorySender
from taskline_service.worker.time_limit import TimeLimit


class ClaimReports:
    """The reports of one attempt, whichever place its code runs in."""

    def __init__(
        self,
        claim: Claim,
        limit: TimeLimit,
        narrator: Narrator,
        *,
        progress: ProgressSender,
        story: StorySender,
        asking: Asking,
    ) -> None:
        self._claim = claim
        self._limit = limit
        self._narrator = narrator
        self._progress = progress
        self._story = story
        self._asking = asking

    def begun(self) -> None:
        """Its time counts from now on."""
        self._limit.begin()
        self._asking.begun()

    def called(self, call: Callable[[], str]) -> None:
        """Say so in the log."""
        self._narrator.called(call)

    def progress(self, progress: Progress) -> None:
        """Send how far it is."""
        self._progress.report(self._claim, progress)

    def log(self, message: str, percentage: float | None) -> None:
        """Send a line."""
        self._story.log(self._claim, message, percentage)

    def output(self, data: bytes) -> None:
        """Send a value."""
        self._story.emit(self._claim, data)

    async def room(self) -> None:
        """Wait until the store has taken most of what was sent."""
        await self._story.room()

    def extend(self, span: timedelta, *, asked_at: float) -> None:
        """Give it more time."""
        self._limit.extend(span, asked_at=asked_at)

    async def ask(self, question: Question) -> Answer:
        """Enqueue a task, or wait for one."""
        return await self._asking.ask(question)

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Wait in a thread."""
        return self._asking.wait_for(awaitable)
