"""A stream of what happens to all tasks that a filter selects, those to come included.

The stream has come to a position in the order of all events. The snapshot of a task is read
after its first event was heard, so it may be ahead of that position: what it has told already
is then passed over, and the tokens say so to whoever continues.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service.errors import ResumeTokenExpired
from taskline_service.limits import MAX_FOLLOWED_BY_FILTER
from taskline_service.rpc import tokens
from taskline_service.rpc.event_convert import event_to_pb
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.pacing import Pacing
from taskline_service.rpc.tokens import ALL_EVENTS, Ahead, FilterPosition
from taskline_service.rpc.watching import (
    WatchOptions,
    end_event,
    heartbeat,
    message_of,
    snapshot_of,
)
from taskline_service.store import End, Event, EventHub, Gap, Mailbox, TaskStore
from taskline_service.store.keys import split_line
from taskline_service.task import Progress, Task

CONDITIONS = frozenset({"queues", "task_types", "labels"})

_BATCH = 100
# Tasks in a token. Of a stream so far behind that more are ahead of it, who continues may be
# told again what a snapshot had; the sequence shows it.
_MOST_AHEAD = 100


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tasks to watch; what is empty selects all."""

    queues: frozenset[str] = frozenset()
    task_types: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, chosen: service.TaskFilter) -> "Selection":
        """From a filter with none but the conditions that a watch takes."""
        return cls(frozenset(chosen.queues), frozenset(chosen.task_types), dict(chosen.labels))

    @property
    def subscription(self) -> bytes:
        """What its tokens are bound to."""
        return tokens.filter_subscription(self.queues, self.task_types, self.labels)

    def wants_line(self, line: str) -> bool:
        """Whether tasks of this type on this queue can be meant."""
        task_type, queue = split_line(line)
        return (not self.task_types or task_type in self.task_types) and (
            not self.queues or queue in self.queues
        )

    def wants(self, task: Task) -> bool:
        """Whether a task of a wanted line is meant."""
        return self.labels.items() <= task.spec.labels.items()


class _Standing(Enum):
    FOLLOWED = auto()
    ENDED = auto()
    UNWANTED = auto()


@dataclass(frozen=True, slots=True)
class _Known:
    standing: _Standing
    # All its events up to this revision are told, or not wanted.
    revision: int


class FilterWatch:
    """Follows all tasks that a filter selects, without an end."""

    def __init__(
        self,
        store: TaskStore,
        hub: EventHub,
        lifetime: Lifetime,
        selection: Selection,
        options: WatchOptions,
    ) -> None:
        self._store = store
        self._hub = hub
        self._lifetime = lifetime
        self._selection = selection
        self._options = options
        self._subscription = selection.subscription
        self._pacing = Pacing(options.min_progress_interval)
        self._position = FilterPosition(0)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._forgot = False
        self._ahead: deque[Ahead] = deque(maxlen=_MOST_AHEAD)
        # Of a stream that continues: what the token says was ahead, and the progress it owes.
        self._resumed = False
        self._ahead_before: dict[bytes, Ahead] = {}
        self._owed: dict[str, Event] | None = None
        self._first_owed = 0
        # Up to where the log has been read; None while the mailbox has everything.
        self._log_read: int | None = None
        self._sent_at = asyncio.get_running_loop().time()

    async def events(
        self, *, resume_token: str = "", on_begun: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncGenerator[pb.TaskEvent, None]:
        """The events from now on, or from where the token was; `on_begun` is awaited first.

        Raises:
            ResumeTokenInvalid: The token is of another watch.
            ResumeTokenExpired: What happened since the token, or while nobody read, is no
                longer kept.
            ServerDraining: The server shuts down; another one can resume.
        """
        with (
            self._hub.select(self._selection.wants_line) as mailbox,
            self._lifetime.woken(mailbox.wake),
        ):
            if resume_token:
                self._resume(tokens.filter_position(resume_token, self._subscription))
            else:
                self._position = FilterPosition(await self._hub.present_revision())
            if on_begun:
                await on_begun()
            while True:
                async for message in self._next(mailbox):
                    yield message
                self._lifetime.check()

    def _resume(self, position: FilterPosition) -> None:
        self._resumed = True
        self._position = FilterPosition(position.revision, position.ordinal)
        self._ahead.extend(position.ahead)
        self._ahead_before = {ahead.digest: ahead for ahead in position.ahead}
        self._read_log_again()
        if position.first_held:
            self._owed, self._first_owed = {}, position.first_held
            self._log_read = min(self._log_read or 0, position.first_held - 1)

    def _read_log_again(self) -> None:
        whole = self._position.ordinal == ALL_EVENTS
        self._log_read = self._position.revision - (0 if whole else 1)

    # Where events come from

    async def _next(self, mailbox: Mailbox) -> AsyncIterator[pb.TaskEvent]:
        """What is there to tell, or a sign of life once it is time for one."""
        if self._log_read is not None:
            page = await self._hub.page_since(self._log_read, self._selection.wants_line)
            if page is None:
                raise ResumeTokenExpired("what happened since is no longer kept: list again")
            came_to, events = page
            caught_up, self._log_read = came_to == self._log_read, came_to
        else:
            events, caught_up, came_to = self._take(mailbox), False, 0
            if not events and self._log_read is None:
                self._settle(self._hub.revision)
                if not await self._wait(mailbox):  # nothing that is wanted; other things perhaps
                    self._settle(self._hub.revision)
        async for message in self._tell(self._new(events, came_to)):
            yield message
        if came_to:
            self._settle(came_to)
        if caught_up:
            self._log_read = None
        for due in self._pacing.take_due():
            yield await self._send(due)
        now = asyncio.get_running_loop().time()
        if now >= self._sent_at + self._options.heartbeat_interval.total_seconds():
            yield self._with_token(heartbeat())

    def _take(self, mailbox: Mailbox) -> list[Event]:
        events = list[Event]()
        while len(events) < _BATCH and (event := mailbox.take()) is not None:
            if isinstance(event.change, Gap):
                events.clear()  # the log has them, and what came before
                self._read_log_again()
                break
            events.append(event)
        return events

    async def _wait(self, mailbox: Mailbox) -> bool:
        """Wait for an event; False if something else is due first."""
        heartbeat_at = self._sent_at + self._options.heartbeat_interval.total_seconds()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(heartbeat_at, self._pacing.next_due or heartbeat_at)):
                await mailbox.arrival()
                return True
        return False

    def _new(self, events: Sequence[Event], came_to: int) -> list[Event]:
        """Those behind the position, and before them the progress that was held back."""
        new = list[Event]()
        for event in events:
            if (event.revision, event.ordinal) > (self._position.revision, self._position.ordinal):
                new.append(event)
            elif self._owed is not None:
                self._owed.pop(event.task_id, None)
                if isinstance(event.change, Progress):
                    self._owed[event.task_id] = event
        if self._owed is not None and came_to >= self._position.revision:
            new, self._owed = [*self._owed.values(), *new], None
        return new

    def _settle(self, revision: int) -> None:
        """All up to this revision is told."""
        if revision >= self._position.revision and self._owed is None:
            self._position = FilterPosition(revision)
            while self._ahead and self._ahead[0].revision <= revision:
                self._ahead.popleft()
            if not self._ahead:
                self._ahead_before.clear()

    # What is told of them

    async def _tell(self, events: Sequence[Event]) -> AsyncIterator[pb.TaskEvent]:
        tasks = await self._read([e.task_id for e in events if self._has_to_be_read(e)])
        for event in events:
            if not self._is_told(event):
                standing = None if event.begins else self._standing(event)
                if standing is None and (event.begins or not self._resumed):
                    async for message in self._introduce(event, tasks.get(event.task_id)):
                        yield message
                elif standing is _Standing.FOLLOWED or self._is_joined(event, tasks):
                    for ready in self._pacing.order(event):
                        yield await self._send(ready)
            self._pass(event)
        self._forget()

    def _has_to_be_read(self, event: Event) -> bool:
        unknown = event.begins or self._standing(event) is None
        joined = self._resumed and not event.begins and not self._selection.labels
        return unknown and not joined and not self._is_told(event)

    def _standing(self, event: Event) -> _Standing | None:
        known = self._known.get(event.task_id)
        return known.standing if known and known.standing is not _Standing.ENDED else None

    async def _read(self, task_ids: Sequence[str]) -> dict[str, Task | None]:
        ids = list(dict.fromkeys(task_ids))
        tasks = await self._store.get_many(ids, pass_over_damaged=True)
        return dict(zip(ids, tasks, strict=True))

    def _is_told(self, event: Event) -> bool:
        known = self._known.get(event.task_id)
        if known:
            return event.revision <= known.revision
        if not self._ahead_before:
            return False
        ahead = self._ahead_before.get(tokens.task_digest(event.task_id))
        if ahead is None or event.revision > ahead.revision:
            return False
        return not (ahead.end_owed and isinstance(event.change, End))

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
        gap = self._forgot and not event.begins and task.id not in self._known
        self._pacing.forget(task.id)
        message = snapshot_of(task, gap=gap)
        ahead = Ahead(tokens.task_digest(task.id), task.revision)
        if not task.state.terminal:
            self._learn(task.id, _Standing.FOLLOWED, task.revision)
            self._pass(event)
            if task.revision > event.revision:
                self._ahead.append(ahead)
            yield self._with_token(message)
            return
        # Who continues behind the snapshot finds the end in the log.
        self._learn(task.id, _Standing.ENDED, task.revision)
        self._ahead.append(replace(ahead, end_owed=True))
        yield self._with_token(message)
        end = event_to_pb(await end_event(self._store, task), self._options.payload_format)
        self._pass(event)
        self._ahead.remove(replace(ahead, end_owed=True))
        self._ahead.append(ahead)
        yield self._with_token(end)

    def _learn(self, task_id: str, standing: _Standing, revision: int) -> None:
        self._known[task_id] = _Known(standing, revision)
        self._known.move_to_end(task_id)

    def _forget(self) -> None:
        """Keep in mind only so many tasks: those that changed last."""
        while len(self._known) > MAX_FOLLOWED_BY_FILTER:
            task_id, known = self._known.popitem(last=False)
            self._pacing.forget(task_id)
            self._forgot = self._forgot or known.standing is _Standing.FOLLOWED

    def _pass(self, event: Event) -> None:
        if (event.revision, event.ordinal) > (self._position.revision, self._position.ordinal):
            self._position = FilterPosition(event.revision, event.ordinal)
            while self._ahead and self._ahead[0].revision < event.revision:
                self._ahead.popleft()

    async def _send(self, event: Event) -> pb.TaskEvent:
        self._pass(event)
        self._pacing.sent(event)
        if event.task_id in self._known:
            self._known.move_to_end(event.task_id)
        if isinstance(event.change, End):
            self._learn(event.task_id, _Standing.ENDED, event.revision)
        return self._with_token(await message_of(self._store, event, self._options.payload_format))

    def _with_token(self, message: pb.TaskEvent) -> pb.TaskEvent:
        self._sent_at = asyncio.get_running_loop().time()
        held = self._pacing.first_held
        if self._owed is not None:  # not yet read again: they are still owed
            held = min(held, self._first_owed) if held else self._first_owed
        position = replace(self._position, first_held=held, ahead=tuple(self._ahead))
        message.resume_token = tokens.filter_token(self._subscription, position)
        return message
