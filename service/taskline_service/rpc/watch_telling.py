"""What a watch of tasks has told so far, and how it tells the next."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf

from taskline.v1 import task_pb2 as pb
from taskline_service.rpc import tokens
from taskline_service.rpc.pacing import Pacing
from taskline_service.rpc.tokens import MOST_AHEAD, STEPS_PER_TASK, Position
from taskline_service.rpc.watch_messages import (
    EventMessages,
    NoLongerKept,
    heartbeat,
    snapshot_of,
)
from taskline_service.rpc.watch_options import WatchOptions
from taskline_service.store import End, Event
from taskline_service.task import Task


class Telling:
    """Makes each message of one stream, with the token that continues right behind it.

    Its position says how far all tasks that are introduced have come.
    """

    def __init__(
        self, messages: EventMessages, task_ids: Iterable[str], options: WatchOptions
    ) -> None:
        self.ids = sorted(set(task_ids))
        # Those whose end is still to be told.
        self.open = set(self.ids)
        self.subscription = tokens.subscription(self.ids)
        self.position = Position(0)
        self.pacing = Pacing(options.min_progress_interval)
        # The places of tasks whose progress was held back before a resume, and has to be sent.
        self.owed: frozenset[int] = frozenset()
        self._messages = messages
        self._payload_format = options.payload_format
        self._places = {task_id: place for place, task_id in enumerate(self.ids)}
        self._sequences: dict[str, int] = {}
        # The tasks of which more is told than of the others, and up to which revision.
        self._ahead: dict[str, int] = {}
        self._clock = asyncio.get_running_loop().time
        # Nothing yet: a sign of life is due at once.
        self.sent_at = -inf

    def is_new(self, event: Event) -> bool:
        """Whether the event is still to be told."""
        if event.task_id not in self.open:
            return False
        # A task that was read has its sequence; one that was resumed has only the position.
        told = self._sequences.get(event.task_id)
        if told is None:
            position = (self.position.revision, self.position.ordinal)
            return event.sequence > 0 and (event.revision, event.ordinal) > position
        return event.sequence > told

    def resume(self, position: Position, revision: int) -> None:
        """Where a token was; `revision` is the present one."""
        self.position = replace(position, held=(), ahead=())
        self.owed = frozenset(position.held)
        for place, sequence in position.ahead:
            if place < len(self.ids):
                self._sequences[self.ids[place]] = sequence
                self._ahead[self.ids[place]] = revision

    def told_up_to(self, task_id: str) -> int:
        """The sequence of the last event of a task that was told."""
        return self._sequences.get(task_id, 0)

    def has_read(self, task: Task) -> None:
        """What is in the task as it was read is no longer new."""
        self._sequences[task.id] = max(task.sequence, self.told_up_to(task.id))

    def settle(self, revision: int) -> None:
        """All up to this revision is told, so that an idle stream continues long after."""
        if revision >= self.position.revision:
            self.position = replace(self.position, revision=revision, ordinal=tokens.ALL_EVENTS)

    def introduced(self, steps: int) -> None:
        """So many steps of introducing tasks are made."""
        at, inside = divmod(steps, STEPS_PER_TASK)
        while not inside and at < len(self.ids) and self.ids[at] not in self.open:
            at += 1  # passes over tasks whose end was said before a gap
        self.position = replace(self.position, introduced=at * STEPS_PER_TASK + inside)

    async def event(self, event: Event) -> list[pb.TaskEvent]:
        """Something that happened; its task anew if that is no longer kept."""
        if (event.revision, event.ordinal) > (self.position.revision, self.position.ordinal):
            self.position = Position(event.revision, event.ordinal, self.position.introduced)
        try:
            message = await self._messages.of(event, self._payload_format)
        except NoLongerKept as gone:
            # Without a task, its end is all that is still to be told.
            return await self._anew(gone.task) if gone.task else []
        self._sequences[event.task_id] = event.sequence
        self.pacing.sent(event)
        if isinstance(event.change, End):
            self.open.discard(event.task_id)
        return [self._with_token(message)]

    async def _anew(self, task: Task) -> list[pb.TaskEvent]:
        """A task as it is now, with a gap: nothing up to there is told of it any more."""
        self.pacing.forget(task.id)
        self._ahead[task.id] = task.revision
        if not task.state.terminal:
            self._sequences[task.id] = task.sequence
            return [self.snapshot(task, gap=True)]
        # Who continues behind the snapshot finds the end in the log.
        self._sequences[task.id] = task.sequence - 1
        snapshot = self.snapshot(task, gap=True)
        self._sequences[task.id] = task.sequence
        self.open.discard(task.id)
        return [snapshot, await self.end(task)]

    def snapshot(self, task: Task, *, gap: bool) -> pb.TaskEvent:
        """A task as it is."""
        return self._with_token(snapshot_of(task, gap=gap))

    async def end(self, task: Task) -> pb.TaskEvent:
        """The end of a task that had ended before it was watched."""
        return self._with_token(await self._messages.end_of(task, self._payload_format))

    def heartbeat(self) -> pb.TaskEvent:
        """A sign of life."""
        return self._with_token(heartbeat())

    def _with_token(self, message: pb.TaskEvent) -> pb.TaskEvent:
        self.sent_at = self._clock()
        position = self.position
        if self.owed or self.pacing.held:
            held = self.owed.union(self._places[task_id] for task_id in self.pacing.held)
            position = replace(position, held=tuple(sorted(held)))
        if self._ahead:
            position = replace(position, ahead=tuple(self._still_ahead()))
        message.resume_token = tokens.resume_token(self.subscription, position)
        return message

    def _still_ahead(self) -> Iterator[tuple[int, int]]:
        """The places of the tasks that are ahead of the position, with their sequences."""
        passed = self.position.read_from
        self._ahead = {
            task: revision for task, revision in self._ahead.items() if revision > passed
        }
        for task_id in list(self._ahead)[-MOST_AHEAD:]:
            yield self._places[task_id], self._sequences[task_id]
