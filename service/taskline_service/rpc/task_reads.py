"""Tasks as they are read after something happened to them: once for all who hear of it."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from taskline_service.store import Event, TaskStore
from taskline_service.task import Task

# Those who keep up hear of an event at about the same time; who is further behind reads anew.
_KEPT = 500

_Reading: TypeAlias = "asyncio.Task[dict[str, Task | None]]"


class TaskReads:
    """Reads tasks for the streams of a partition."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        # By the event as it was handed out, to everybody the same object; kept with it, so that no
        # other gets its id meanwhile.
        self._readings: OrderedDict[int, tuple[Event, _Reading]] = OrderedDict()

    async def after(self, events: Sequence[Event]) -> Mapping[str, Task | None]:
        """The tasks of these events as they were at some time after them.

        None where there is none any more, or it cannot be understood.
        """
        unread = [event for event in events if id(event) not in self._readings]
        if unread:
            self._begin(unread)
        readings = {event.task_id: self._readings[id(event)][1] for event in reversed(events)}
        return {
            task_id: (await asyncio.shield(reading))[task_id]
            for task_id, reading in readings.items()
        }

    def _begin(self, events: Sequence[Event]) -> None:
        ids = list(dict.fromkeys(event.task_id for event in events))
        # A task of its own: others wait for it too if who came first goes away.
        reading = asyncio.create_task(self._read(ids))
        for event in events:
            self._readings[id(event)] = (event, reading)
        reading.add_done_callback(lambda done: self._after(events, done))

    async def _read(self, ids: Sequence[str]) -> dict[str, Task | None]:
        tasks = await self._store.get_many(ids, pass_over_damaged=True)
        return dict(zip(ids, tasks, strict=True))

    def _after(self, events: Sequence[Event], done: _Reading) -> None:
        if done.cancelled() or done.exception() is not None:
            for event in events:  # who waits for it is told, and who comes later reads again
                self._readings.pop(id(event), None)
        while len(self._readings) > _KEPT:
            self._readings.popitem(last=False)
