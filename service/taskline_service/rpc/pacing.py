"""How often progress is sent: the latest in each span, and nothing else is held back."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from datetime import timedelta

from taskline_service import telemetry
from taskline_service.store import Event
from taskline_service.task import Progress


class Pacing:
    """Holds back progress that came too soon after the last."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval.total_seconds()
        self._clock = asyncio.get_running_loop().time
        # The event, and when it may be sent.
        self._held: dict[str, tuple[Event, float]] = {}
        # Of those only that still hold something back.
        self._sent_at: OrderedDict[str, float] = OrderedDict()

    @property
    def held(self) -> Collection[str]:
        """The tasks whose progress is held back."""
        return self._held.keys()

    @property
    def next_due(self) -> float | None:
        """When something can be sent, by the event loop's clock."""
        return min((at for _, at in self._held.values()), default=None)

    @property
    def first_held(self) -> int:
        """The revision of the oldest event that is held back; 0 if there is none."""
        # They come in the order of their revisions.
        return next((event.revision for event, _ in self._held.values()), 0)

    def order(self, event: Event) -> list[Event]:
        """What to send now that this event is here."""
        held = self._held.pop(event.task_id, None)
        if not isinstance(event.change, Progress):
            return [held[0], event] if held else [event]
        if held:
            telemetry.conflated()
        now = self._clock()
        due_at = self._sent_at.get(event.task_id, now - self._interval) + self._interval
        if due_at > now:
            self._held[event.task_id] = (event, due_at)
            return []
        return [event]

    def take_due(self) -> list[Event]:
        """What was held back for long enough."""
        now = self._clock()
        due = [task_id for task_id, (_, at) in self._held.items() if at <= now]
        return [self._held.pop(task_id)[0] for task_id in due]

    def sent(self, event: Event) -> None:
        """Take note of what has been sent."""
        if not isinstance(event.change, Progress):
            return
        now = self._clock()
        self._sent_at[event.task_id] = now
        self._sent_at.move_to_end(event.task_id)
        while next(iter(self._sent_at.values())) <= now - self._interval:
            self._sent_at.popitem(last=False)

    def forget(self, task_id: str) -> None:
        """Drop what is held back of a task that is told anew."""
        self._held.pop(task_id, None)

    def clear(self) -> None:
        """Drop all that is held back."""
        self._held.clear()
