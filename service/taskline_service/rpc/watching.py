"""One stream of events: snapshots first, then what happens, then one end for each task."""

import asyncio
import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby

from taskline.v1 import task_pb2 as pb
from taskline_service.errors import TaskNotFound
from taskline_service.rpc import tokens
from taskline_service.rpc.convert import task_to_pb
from taskline_service.rpc.event_convert import end_of, event_to_pb
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.pacing import Pacing
from taskline_service.rpc.tokens import STEPS_PER_TASK, Position
from taskline_service.store import (
    Emitted,
    End,
    Event,
    EventHub,
    Gap,
    Mailbox,
    StateChange,
    TaskStore,
)
from taskline_service.task import Task, TaskState

SHORTEST_PROGRESS_INTERVAL = timedelta(milliseconds=20)
SHORTEST_HEARTBEAT_INTERVAL = timedelta(seconds=1)
DEFAULT_PROGRESS_INTERVAL = timedelta(milliseconds=100)
DEFAULT_HEARTBEAT_INTERVAL = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """How a watcher wants its events."""

    payload_format: pb.PayloadFormat.ValueType = pb.PAYLOAD_FORMAT_JSON
    min_progress_interval: timedelta = DEFAULT_PROGRESS_INTERVAL
    heartbeat_interval: timedelta = DEFAULT_HEARTBEAT_INTERVAL


class WatchStream:
    """Follows tasks until all of them have ended."""

    def __init__(
        self,
        store: TaskStore,
        hub: EventHub,
        lifetime: Lifetime,
        task_ids: Sequence[str],
        options: WatchOptions,
    ) -> None:
        self._store = store
        self._hub = hub
        self._lifetime = lifetime
        self._ids = sorted(set(task_ids))
        self._options = options
        self._subscription = tokens.subscription(self._ids)
        self._position = Position(0)
        self._open = set(self._ids)
        self._sequences: dict[str, int] = {}
        self._pacing = Pacing(options.min_progress_interval)
        # Whether progress that was held back before a resume has still to be sent.
        self._owes_progress = False
        self._sent_at = asyncio.get_running_loop().time()

    @property
    def ended(self) -> bool:
        """Whether every task has ended, and that was said."""
        return not self._open

    async def events(
        self, *, resume_token: str = "", begin: Callable[[], Awaitable[Task]] | None = None
    ) -> AsyncGenerator[pb.TaskEvent, None]:
        """The events, from the snapshots on or from where the token was.

        `begin` makes the one task to watch, once its events can no longer be missed.

        Raises:
            TaskNotFound: One of the tasks does not exist (any more).
            ResumeTokenInvalid: The token is of another watch.
            ServerDraining: The server shuts down; another one can resume.
        """
        with self._hub.watch(self._ids) as mailbox, self._lifetime.woken(mailbox.wake):
            if resume_token:
                opening = self._resume(resume_token)
            else:
                opening = self._introduce([await begin()] if begin else await self._read())
            async for event in opening:
                yield event
            async for event in self._follow(mailbox):
                yield event

    # The beginning

    async def _introduce(
        self, tasks: list[Task], *, start: int = 0, gap: bool = False
    ) -> AsyncIterator[pb.TaskEvent]:
        """Snapshots, from step `start` on; a task that has ended gets its end as well.

        Tasks are read some at a time, each time at a later revision: up to that, those
        before them are followed first, so that one revision tells how far all of them are.
        """
        self._position = replace(self._position, introduced=start)
        steps = enumerate(tasks)
        for revision, group in groupby(steps, key=lambda step: step[1].revision):
            rest = [(i, task) for i, task in group if start < (i + 1) * STEPS_PER_TASK]
            if rest:
                async for message in self._catch_up(revision):
                    yield message
            for i, task in rest:
                if task.id not in self._open:  # its end was said before the gap
                    continue
                self._sequences[task.id] = max(task.sequence, self._sequences.get(task.id, 0))
                if start <= i * STEPS_PER_TASK:
                    self._step(i * STEPS_PER_TASK + (1 if task.state.terminal else STEPS_PER_TASK))
                    yield self._snapshot(task, gap=gap)
                if task.state.terminal:
                    self._open.discard(task.id)
                    self._step((i + 1) * STEPS_PER_TASK)
                    yield await self._end(task)

    async def _catch_up(self, revision: int) -> AsyncIterator[pb.TaskEvent]:
        """What has happened up to `revision` to the tasks that are introduced."""
        known = self._ids[: self._position.introduced // STEPS_PER_TASK]
        if known and revision > self._position.revision:
            missed = await self._hub.since(self._position.revision - 1, known, up_to=revision)
            if missed is None:  # the mailbox has them; until then the position stays behind
                return
            for event in missed:
                if event.task_id in self._open and self._is_new(event):
                    for ready in self._pacing.order(event):
                        yield await self._send(ready)
        if revision >= self._position.revision:
            self._position = replace(self._position, revision=revision, ordinal=tokens.ALL_EVENTS)

    async def _resume(self, token: str) -> AsyncIterator[pb.TaskEvent]:
        """What happened since the token; snapshots for what it had not come to yet."""
        position = tokens.resume_position(token, self._subscription)
        tasks = await self._read()
        missed = await self._hub.since(position.revision - 1, self._ids)
        if missed is None or position.revision > tasks[0].revision:
            async for message in self._introduce(tasks, gap=True):
                yield message
            return
        self._position = position
        self._owes_progress = position.held
        known = {task.id for task in tasks[: position.introduced // STEPS_PER_TASK]}
        if position.introduced < len(self._ids) * STEPS_PER_TASK:
            async for message in self._introduce(tasks, start=position.introduced):
                yield message
        else:
            for event in self._still_to_tell(missed):
                yield await self._send(event)
        if position.held:
            self._owes_progress = False
            for progress in self._progress_of(t for t in tasks if t.id in known & self._open):
                yield await self._send(progress)
        for task in tasks:
            # Its end was before the token: there is nothing more to say of it.
            if task.id in known and task.state.terminal:
                self._open.discard(task.id)

    def _progress_of(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """The progress of running tasks, where it was not sent: it is the last that happened."""
        for task in tasks:
            progress, sent = task.progress, self._sequences.get(task.id, 0)
            if progress and task.state is TaskState.RUNNING and task.sequence > sent:
                yield Event(task.id, task.sequence, progress.update_us, 0, 0, progress)

    def _still_to_tell(self, missed: Iterable[Event]) -> Iterator[Event]:
        for event in missed:
            if event.task_id not in self._open or not self._is_new(event):
                continue
            if isinstance(event.change, StateChange) and event.change.retried:
                self._open.discard(event.task_id)  # its end was before the token
            else:
                yield event

    async def _read(self) -> list[Task]:
        tasks = await self._store.get_many(self._ids)
        for task_id, task in zip(self._ids, tasks, strict=True):
            if task is None:
                raise TaskNotFound(task_id)
        return [task for task in tasks if task is not None]

    # What follows

    async def _follow(self, mailbox: Mailbox) -> AsyncIterator[pb.TaskEvent]:
        while self._open:
            event = mailbox.take()
            if event is None:
                if not await self._wait(mailbox):
                    yield self._heartbeat()
                for due in self._pacing.take_due():
                    yield await self._send(due)
            elif isinstance(event.change, Gap):
                self._pacing.clear()
                async for message in self._introduce(await self._read(), gap=True):
                    yield message
            elif event.task_id in self._open and self._is_new(event):
                for ready in self._pacing.order(event):
                    yield await self._send(ready)

    async def _wait(self, mailbox: Mailbox) -> bool:
        """Wait for an event, or for held progress to be due; False if a heartbeat is due first."""
        heartbeat_at = self._sent_at + self._options.heartbeat_interval.total_seconds()
        wake_at = min(heartbeat_at, self._pacing.next_due or heartbeat_at)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(wake_at):
                await mailbox.arrival()
                self._lifetime.check()
                return True
        return wake_at < heartbeat_at

    def _is_new(self, event: Event) -> bool:
        return event.sequence > self._sequences.get(event.task_id, 0) and (
            event.revision,
            event.ordinal,
        ) > (self._floor(event.task_id))

    def _floor(self, task_id: str) -> tuple[int, int]:
        # A task that was read has its sequence; one that was resumed has only the position.
        if task_id in self._sequences:
            return (0, 0)
        return (self._position.revision, self._position.ordinal)

    # Messages

    async def _send(self, event: Event) -> pb.TaskEvent:
        self._sent_at = asyncio.get_running_loop().time()
        self._sequences[event.task_id] = event.sequence
        if (event.revision, event.ordinal) > (self._position.revision, self._position.ordinal):
            self._position = replace(self._position, revision=event.revision, ordinal=event.ordinal)
        self._pacing.sent(event)
        if isinstance(event.change, End):
            self._open.discard(event.task_id)
        message = await message_of(self._store, event, self._options.payload_format)
        message.resume_token = self._token()
        return message

    async def _end(self, task: Task) -> pb.TaskEvent:
        """The end of a task that had ended before it was watched."""
        end = await end_event(self._store, task)
        message = event_to_pb(end, self._options.payload_format)
        message.resume_token = self._token()
        return message

    def _snapshot(self, task: Task, *, gap: bool) -> pb.TaskEvent:
        message = snapshot_of(task, gap=gap)
        message.resume_token = self._token()
        return message

    def _heartbeat(self) -> pb.TaskEvent:
        self._sent_at = asyncio.get_running_loop().time()
        message = heartbeat()
        message.resume_token = self._token()
        return message

    def _step(self, introduced: int) -> None:
        at, inside = divmod(introduced, STEPS_PER_TASK)
        while not inside and at < len(self._ids) and self._ids[at] not in self._open:
            at += 1  # passes over tasks whose end was said before a gap
        introduced = at * STEPS_PER_TASK + inside
        self._position = replace(self._position, introduced=introduced)

    def _token(self) -> str:
        position = replace(self._position, held=self._pacing.holds or self._owes_progress)
        return tokens.resume_token(self._subscription, position)


# What both kinds of watches say. The tokens are theirs.


def snapshot_of(task: Task, *, gap: bool) -> pb.TaskEvent:
    """A task as it is."""
    message = pb.TaskEvent(task_id=task.id, sequence=task.sequence)
    message.event_time.FromMicroseconds(task.update_us)
    message.snapshot.task.CopyFrom(task_to_pb(task))
    message.snapshot.gap = gap
    return message


def heartbeat() -> pb.TaskEvent:
    """A sign of life."""
    message = pb.TaskEvent()
    message.event_time.GetCurrentTime()
    message.heartbeat.SetInParent()
    return message


async def end_event(store: TaskStore, task: Task) -> Event:
    """The end of a task that had ended before it was watched."""
    try:
        whole, result = await store.get_outcome(task.id)
    except TaskNotFound:  # its record went meanwhile
        whole, result = task, None
    if whole.end_us != task.end_us:  # replaced meanwhile
        whole, result = task, None
    end = end_of(whole, result)
    return Event(task.id, whole.sequence, whole.end_us, whole.revision, 0, end)


async def message_of(
    store: TaskStore, event: Event, payload_format: pb.PayloadFormat.ValueType
) -> pb.TaskEvent:
    """An event in full: what was too long to come along is read."""
    if isinstance(event.change, End):
        event = await _with_outcome(store, event, event.change)
    elif isinstance(event.change, Emitted) and event.change.data is None:
        output = await store.output(event.task_id, event.sequence)
        if output is None:  # so much came after it that it is no longer kept
            (task,) = await store.get_many([event.task_id])
            return heartbeat() if task is None else snapshot_of(task, gap=True)
        event = replace(event, change=Emitted(output))
    return event_to_pb(event, payload_format)


async def _with_outcome(store: TaskStore, event: Event, end: End) -> Event:
    """The end with its result or error, read if it was too long to come along."""
    if end.result is not None or end.error is not None:
        return event
    try:
        task, result = await store.get_outcome(event.task_id)
    except TaskNotFound:  # the end is true all the same
        return event
    # Another task may have taken its place meanwhile, and its outcome is not ours to tell.
    return replace(event, change=end_of(task, result)) if task.end_us == event.event_us else event
