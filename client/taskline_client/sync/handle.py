"""One task, from the side of a caller that has no event loop."""

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from taskline_client import handle as asynchronous
from taskline_client.events import TaskEvent
from taskline_client.sync._portal import Portal
from taskline_client.types import Task

R_co = TypeVar("R_co", covariant=True)


class TaskHandle(Generic[R_co]):
    """As taskline_client.TaskHandle, which says more; each method waits for its answer."""

    def __init__(self, portal: Portal, handle: asynchronous.TaskHandle[R_co]) -> None:
        self._portal = portal
        self._handle = handle
        self.id: str = handle.id
        # False if enqueue found the task that another request had made.
        self.created: bool = handle.created

    def __repr__(self) -> str:
        return f"TaskHandle({self.id!r})"

    def get(self) -> Task:
        """Everything known about the task now."""
        return self._portal.call(self._handle.get())

    def result(
        self,
        *,
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        reraise: bool = False,
    ) -> R_co:
        """Wait for the task to end, and return what it returned."""
        return self._portal.call(
            self._handle.result(timeout=timeout, deadline=deadline, reraise=reraise)
        )

    def watch(self) -> Generator[TaskEvent, None, None]:
        """Follow the task, event by event."""
        return self._portal.iterate(self._handle.watch())

    def events(self) -> Generator[TaskEvent, None, None]:
        """What was recorded of the task until now."""
        return self._portal.iterate(self._handle.events())

    def cancel(self, reason: str = "") -> Task:
        """Ask the task to stop."""
        return self._portal.call(self._handle.cancel(reason))
