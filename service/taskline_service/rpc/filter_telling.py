"""What a watch by filter tells of the tasks that are selected: a snapshot before all else."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from math import inf

from taskline.v1 import task_pb2 as pb
from taskline_service.limits import MAX_FOLLOWED_BY_FILTER
from taskline_service.rpc.as_it_was import as_it_was
from taskline_service.rpc.filter_course import Course
from taskline_service.rpc.filter_selection import Selection
from taskline_service.rpc.pacing import Pacing
from taskline_service.rpc.task_reads import TaskReads
from taskline_service.rpc.watch_messages import (
    EventMessages,
    NoLongerKept,
    heartbeat,
    snapshot_of,
)
from taskline_service.rpc.watch_options import WatchOptions
from taskline_service.store import End, Event, Gap
from taskline_service.task import Task


class _Standing(Enum):
    FOLLOWED = auto()
    ENDED = auto()
    UNWANTED = auto()


@dataclass(frozen=True, slots=True)
class _Known:
    standing: _Standing
    # All its events up to this revision are told, or not wanted.
    revision: int


class FilterTelling:
    """Makes the messages of one stream from events that may be wanted, in their order."""

    def __init__(
        self,
        reads: TaskReads,
        messages: EventMessages,
        course: Course,
        selection: Selection,
        options: WatchOptions,
    ) -> None:
        self._reads = reads
        self._messages = messages
        self._course = course
        self._selection = selection
        self._payload_format = options.payload_format
        self.pacing = Pacing(options.min_progress_interval)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._forgot = False
        self._clock = asyncio.get_running_loop().time
        # Nothing yet: a sign of life is due at once.
        self.sent_at = -inf

    async def of(self, events: Sequence[Event]) -> AsyncIterator[pb.TaskEvent]:
        """What there is to tell of these events."""
        tasks = await self._reads.after([e for e in events if self._has_to_be_read(e)])
        for event in events:
            if not self._is_told(event):
                afresh = _is_afresh(event)
                standing = None if afresh else self._standing(event)
                if standing is None and (afresh or not self._course.resumed):
                    async for message in self._introduce(event, tasks.get(event.task_id)):
                        yield message
                elif standing is _Standing.FOLLOWED or self._is_joined(event, tasks):
                    for ready in self.pacing.order(event):
                        async for message in self._tell(ready):
                            yield message
            self._course.passed(event)
        self._forget()

    async def of_held(self) -> AsyncIterator[pb.TaskEvent]:
        """Progress that was held back for long enough."""
        for due in self.pacing.take_due():
            async for message in self._tell(due):
                yield message

    def heartbeat(self) -> pb.TaskEvent:
        """A sign of life."""
        return self._with_token(heartbeat())

    def _has_to_be_read(self, event: Event) -> bool:
        afresh = _is_afresh(event)
        unknown = afresh or self._standing(event) is None
        joined = self._course.resumed and not afresh and not self._selection.labels
        return unknown and not joined and not self._is_told(event)

    def _standing(self, event: Event) -> _Standing | None:
        known = self._known.get(event.task_id)
        return known.standing if known and known.standing is not _Standing.ENDED else None

    def _is_told(self, event: Event) -> bool:
        known = self._known.get(event.task_id)
        return event.revision <= known.revision if known else self._course.was_ahead(event)

    def _is_joined(self, event: Event, tasks: Mapping[str, Task | None]) -> bool:
        """Whether a stream that continues goes on with this task; it had its snapshot before."""
        known = self._known.get(event.task_id)
        if known and known.standing is _Standing.UNWANTED:
            return False
        task = tasks.get(event.task_id)
        # Of one whose record is gone, the labels are no longer known.
        wanted = self._selection.wants(task) if task else not self._selection.labels
        self._learn(event.task_id, _Standing.FOLLOWED if wanted else _Standing.UNWANTED, 0)
        return wanted

    async def _introduce(self, event: Event, task: Task | None) -> AsyncIterator[pb.TaskEvent]:
        if task is None:  # gone before it could be shown
            return
        if not self._selection.wants(task):
            self._learn(task.id, _Standing.UNWANTED, task.revision)
            return
        lost = isinstance(event.change, Gap)
        gap = lost or (self._forgot and not event.begins and task.id not in self._known)
        self.pacing.forget(task.id)
        if not (task.state.terminal if lost else isinstance(event.change, End)):
            shown = task if lost else as_it_was(task, event)
            self._learn(task.id, _Standing.FOLLOWED, shown.revision)
            self._course.passed(event)
            if lost:
                self._course.is_ahead(task)
            yield self._with_token(snapshot_of(shown, gap=gap))
            return
        message = snapshot_of(task, gap=gap)
        # Who continues behind the snapshot finds the end in the log.
        self._learn(task.id, _Standing.ENDED, task.revision)
        self._course.end_is_owed(task)
        yield self._with_token(message)
        end = await self._messages.end_of(task, self._payload_format)
        self._course.passed(event)
        self._course.end_is_told(task)
        yield self._with_token(end)

    def _learn(self, task_id: str, standing: _Standing, revision: int) -> None:
        self._known[task_id] = _Known(standing, revision)
        self._known.move_to_end(task_id)

    def _forget(self) -> None:
        """Keep in mind only so many tasks: those that changed last."""
        while len(self._known) > MAX_FOLLOWED_BY_FILTER:
            task_id, known = self._known.popitem(last=False)
            self.pacing.forget(task_id)
            self._forgot = self._forgot or known.standing is _Standing.FOLLOWED

    async def _tell(self, event: Event) -> AsyncIterator[pb.TaskEvent]:
        try:
            told = await self._messages.of(event, self._payload_format)
        except NoLongerKept as gone:
            async for message in self._introduce(replace(event, change=Gap()), gone.task):
                yield message
            return
        self._course.passed(event)
        self.pacing.sent(event)
        if event.task_id in self._known:
            self._known.move_to_end(event.task_id)
        if isinstance(event.change, End):
            self._learn(event.task_id, _Standing.ENDED, event.revision)
        yield self._with_token(told)

    def _with_token(self, message: pb.TaskEvent) -> pb.TaskEvent:
        self.sent_at = self._clock()
        message.resume_token = self._course.token(self.pacing)
        return message


def _is_afresh(event: Event) -> bool:
    """Whether what was told of the task before does not lead here."""
    return event.begins or isinstance(event.change, Gap)
