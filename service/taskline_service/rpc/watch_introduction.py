"""How a watch of tasks begins: with their snapshots, or with what happened since its token."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from taskline.v1 import task_pb2 as pb
from taskline_service.errors import TaskNotFound
from taskline_service.rpc import tokens
from taskline_service.rpc.tokens import STEPS_PER_TASK
from taskline_service.rpc.watch_telling import Telling
from taskline_service.store import Event, EventHub, StateChange, TaskStore
from taskline_service.task import Task, TaskState


class Introduction:
    """Brings a stream to where it only has to follow what its mailbox gets."""

    def __init__(self, store: TaskStore, hub: EventHub, telling: Telling) -> None:
        self._store = store
        self._hub = hub
        self._telling = telling

    async def of_all(self, *, gap: bool = False) -> AsyncIterator[pb.TaskEvent]:
        """The tasks as they are now; after a `gap` once more.

        Raises:
            TaskNotFound: One of them does not exist (any more).
        """
        async for message in self.of(await self._read(), gap=gap):
            yield message

    async def of(
        self, tasks: list[Task], *, start: int = 0, gap: bool = False
    ) -> AsyncIterator[pb.TaskEvent]:
        """Snapshots, from step `start` on; a task that has ended gets its end as well.

        Tasks are read some at a time, each time at a later revision: up to that, those
        before them are followed first, so that one revision tells how far all of them are.
        """
        telling = self._telling
        telling.position = replace(telling.position, introduced=start)
        steps = enumerate(tasks)
        for revision, group in groupby(steps, key=lambda step: step[1].revision):
            rest = [(i, task) for i, task in group if start < (i + 1) * STEPS_PER_TASK]
            if rest:
                async for message in self._catch_up(revision):
                    yield message
            for i, task in rest:
                if task.id not in telling.open:  # its end was said before the gap
                    continue
                telling.has_read(task)
                first, last = i * STEPS_PER_TASK, (i + 1) * STEPS_PER_TASK
                if start <= first:
                    telling.introduced(first + 1 if task.state.terminal else last)
                    yield telling.snapshot(task, gap=gap)
                if task.state.terminal:
                    telling.open.discard(task.id)
                    telling.introduced(last)
                    yield await telling.end(task)

    async def _catch_up(self, revision: int) -> AsyncIterator[pb.TaskEvent]:
        """What has happened up to `revision` to the tasks that are introduced."""
        telling = self._telling
        known = telling.ids[: telling.position.introduced // STEPS_PER_TASK]
        if known and revision > telling.position.revision:
            missed = await self._hub.since(telling.position.revision - 1, known, up_to=revision)
            if missed is None:  # the mailbox has them; until then the position stays behind
                return
            for event in missed:
                if telling.is_new(event):
                    for ready in telling.pacing.order(event):
                        for message in await telling.event(ready):
                            yield message
        telling.settle(revision)

    async def resumed(self, token: str) -> AsyncIterator[pb.TaskEvent]:
        """What happened since the token; snapshots for what it had not come to yet.

        Raises:
            TaskNotFound: One of the tasks does not exist (any more).
            ResumeTokenInvalid: The token is of another watch.
        """
        telling = self._telling
        position = tokens.resume_position(token, telling.subscription)
        tasks = await self._read()
        missed = await self._hub.since(position.read_from, telling.ids)
        if missed is None or position.revision > tasks[0].revision:
            async for message in self.of(tasks, gap=True):
                yield message
            return
        telling.resume(position, tasks[0].revision)
        known = {task.id for task in tasks[: position.introduced // STEPS_PER_TASK]}
        if position.introduced < len(telling.ids) * STEPS_PER_TASK:
            async for message in self.of(tasks, start=position.introduced):
                yield message
        else:
            for event in self._still_to_tell(missed):
                for message in await telling.event(event):
                    yield message
        owing = [task for place, task in enumerate(tasks) if place in telling.owed]
        telling.owed = frozenset()
        for progress in self._progress_of(t for t in owing if t.id in known & telling.open):
            for message in await telling.event(progress):
                yield message
        for task in tasks:
            # Its end was before the token: there is nothing more to say of it.
            if task.id in known and task.state.terminal:
                telling.open.discard(task.id)

    def _progress_of(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """The progress of running tasks, where it was not sent: it is the last that happened."""
        for task in tasks:
            progress, told = task.progress, self._telling.told_up_to(task.id)
            if progress and task.state is TaskState.RUNNING and task.sequence > told:
                yield Event(task.id, task.sequence, progress.update_us, 0, 0, progress)

    def _still_to_tell(self, missed: Iterable[Event]) -> Iterator[Event]:
        for event in missed:
            if not self._telling.is_new(event):
                continue
            if isinstance(event.change, StateChange) and event.change.retried:
                self._telling.open.discard(event.task_id)  # its end was before the token
            else:
                yield event

    async def _read(self) -> list[Task]:
        tasks = await self._store.get_many(self._telling.ids)
        for task_id, task in zip(self._telling.ids, tasks, strict=True):
            if task is None:
                raise TaskNotFound(task_id)
        return [task for task in tasks if task is not None]
