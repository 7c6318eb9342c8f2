"""What happens to tasks, as it happens: one subscription for all who watch in this process.

Who watches registers first and reads the task afterwards, never the other way round: what
happens in between is then in the mailbox, with a sequence above that of the task as read.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from taskline_service.errors import TasklineError
from taskline_service.store.address import RedisAddress
from taskline_service.store.changes import Event, Gap, Message, event_or_gap
from taskline_service.store.damage import UNREADABLE, PassedOver
from taskline_service.store.keys import Keys
from taskline_service.store.log import EventLog
from taskline_service.store.redis import Redis, Subscription
from taskline_service.task import Progress

log = logging.getLogger(__name__)

# A subscription can lose what was published last without knowing: compare now and then.
_COMPARE_EVERY_S = 10.0
MAILBOX_LENGTH = 10_000
# Shorter, as who watches by filter can go on from the log.
SELECTED_MAILBOX_LENGTH = 1_000
_SELECTED_PAGE = 50


class Mailbox:
    """The events of the tasks that one watcher follows, until it takes them.

    Of progress only the latest is kept, and never out of order with other events. A watcher
    that falls too far behind finds a Gap instead of what it missed.
    """

    def __init__(self, length: int | None = None) -> None:
        self._length = length
        # By their number, in order.
        self._events: OrderedDict[int, Event] = OrderedDict()
        # The number of the one waiting progress event of a task.
        self._latest_progress: dict[str, int] = {}
        self._arrived = asyncio.Event()
        self._woken = False
        self._count = 0

    def put(self, event: Event) -> None:
        """Add an event."""
        waiting = self._latest_progress.pop(event.task_id, None)
        if isinstance(event.change, Progress):
            # In the place of the old one it would come before other tasks' older events,
            # and who continues from there would miss them.
            if waiting is not None:
                del self._events[waiting]
            self._latest_progress[event.task_id] = self._count
        if len(self._events) >= (self._length or MAILBOX_LENGTH):
            self.lose(event.revision)
            return
        self._append(event)

    def lose(self, revision: int) -> None:
        """Forget everything; the watcher has to read its tasks again."""
        self._events.clear()
        self._latest_progress.clear()
        self._append(Event("", 0, 0, revision, 0, Gap()))

    def _append(self, event: Event) -> None:
        self._events[self._count] = event
        self._count += 1
        self._arrived.set()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._events

    def take(self) -> Event | None:
        """The next event, if there is one."""
        if not self._events:
            return None
        number, event = self._events.popitem(last=False)
        if self._latest_progress.get(event.task_id) == number:
            del self._latest_progress[event.task_id]
        if not self._events and not self._woken:
            self._arrived.clear()
        return event

    async def arrival(self) -> None:
        """Wait until there is an event to take, or until wake()."""
        await self._arrived.wait()

    def wake(self) -> None:
        """End the waiting, for good: there is something else to look at."""
        self._woken = True
        self._arrived.set()


class EventHub:
    """Hands the events of this partition to the mailboxes of those who watch."""

    def __init__(self, redis: Redis, address: RedisAddress, keys: Keys) -> None:
        self._log = EventLog(redis, keys)
        self._mailboxes: dict[bytes, set[Mailbox]] = {}
        # Of those who watch by filter: which lines each wants, and, once asked, who wants a line.
        self._selections: dict[Mailbox, Callable[[str], bool]] = {}
        self._by_line: dict[bytes, list[Mailbox]] = {}
        self._revision: int | None = None
        # Messages that cannot be handed out before others have come, in their order.
        self._early: list[Message] = []
        self._catching_up = asyncio.Lock()
        self._behind = asyncio.Event()
        self._listening = asyncio.Event()
        self._subscription = Subscription(
            address,
            [keys.events_channel],
            on_message=self._hear,
            on_subscribed=self._catch_up,
            name="taskline-events",
        )

    @property
    def revision(self) -> int:
        """Up to where events have been handed out."""
        return self._revision or 0

    @property
    def passed_over(self) -> PassedOver:
        """Messages that could not be understood."""
        return self._log.unreadable

    @property
    def watched(self) -> int:
        """How many tasks somebody watches."""
        return len(self._mailboxes)

    @contextlib.contextmanager
    def watch(self, task_ids: Iterable[str]) -> Iterator[Mailbox]:
        """A mailbox that gets whatever happens to these tasks from now on."""
        mailbox, keys = Mailbox(), [task_id.encode() for task_id in task_ids]
        for key in keys:
            self._mailboxes.setdefault(key, set()).add(mailbox)
        try:
            yield mailbox
        finally:
            for key in keys:
                others = self._mailboxes.get(key)
                if others is not None:
                    others.discard(mailbox)
                    if not others:
                        del self._mailboxes[key]

    @contextlib.contextmanager
    def select(self, wanted: Callable[[str], bool]) -> Iterator[Mailbox]:
        """A mailbox that gets whatever happens to the tasks of the wanted lines from now on."""
        mailbox = Mailbox(SELECTED_MAILBOX_LENGTH)
        self._selections[mailbox] = wanted
        self._by_line.clear()
        try:
            yield mailbox
        finally:
            del self._selections[mailbox]
            self._by_line.clear()

    async def run(self) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._subscription.run())
            group.create_task(self._compare())

    async def listening(self) -> None:
        """Wait until whatever happens from now on is heard of."""
        await self._listening.wait()

    async def since(
        self, revision: int, task_ids: Iterable[str], *, up_to: int | None = None
    ) -> list[Event] | None:
        """The events of these tasks after `revision`; None if they are no longer kept."""
        wanted, events = {task_id.encode() for task_id in task_ids}, list[Event]()
        present, last = await self.present_revision(), revision
        if up_to is not None:
            present = up_to

        def is_wanted(fields: dict[bytes, Any]) -> bool:
            return fields[b"id"] in wanted

        while last < present and (messages := await self._log.after(last, is_wanted)):
            for message in messages:
                if up_to is not None and message.revision > up_to:
                    break
                if message.revision != last + 1 or message.events is None:
                    return None
                last += 1
                events += self._decoded(message)
        lost = any(isinstance(event.change, Gap) for event in events)
        return events if last >= present and not lost else None

    async def page_since(
        self, revision: int, wanted: Callable[[str], bool]
    ) -> tuple[int, list[Event]] | None:
        """Some events of the wanted lines after `revision`, and up to where these are all.

        That is `revision` itself if nothing has happened since. None if the events are no
        longer kept. Where one cannot be understood, there is a Gap in its task.
        """
        present, last, events = await self.present_revision(), revision, list[Event]()

        def is_wanted(fields: dict[bytes, Any]) -> bool:
            return b"line" in fields and wanted(fields[b"line"].decode())

        for message in await self._log.after(revision, is_wanted, count=_SELECTED_PAGE):
            if message.revision != last + 1 or message.events is None:
                return None
            last += 1
            events += self._decoded(message)
        return None if last == revision != present else (last, events)

    async def present_revision(self) -> int:
        """How far the store is; it may be further than what has been handed out."""
        return await self._log.present_revision()

    def _hear(self, _channel: bytes, data: bytes) -> None:
        try:
            message = Message.heard(data)
        except UNREADABLE as error:  # was it one of ours, the next one shows that it is missing
            self.passed_over.found("the channel of events", error)
            return
        if self._early or not self._deliver(message):
            self._early.append(message)
            self._behind.set()

    def _deliver(self, message: Message) -> bool:
        """Hand out a message; False if others should have come before it."""
        revision = message.revision
        if self._revision is None or revision > self._revision + 1:
            return False
        if revision == self._revision + 1:
            if message.events is None:
                self._skip_to(revision)
                return True
            self._revision = revision
            for ordinal, fields in message.events:
                mailboxes = self._mailboxes.get(fields[b"id"], ())
                selected = self._selecting(fields) if self._selections else ()
                if mailboxes or selected:
                    event = self._event(fields, revision, ordinal)
                    for mailbox in (*mailboxes, *selected):
                        mailbox.put(event)
        return True

    def _decoded(self, message: Message) -> Iterator[Event]:
        return (
            self._event(fields, message.revision, place) for place, fields in message.events or ()
        )

    def _event(self, fields: dict[bytes, Any], revision: int, ordinal: int) -> Event:
        event = event_or_gap(fields, revision, ordinal)
        if isinstance(event.change, Gap) and fields.get(b"kind") != b"gap":
            self.passed_over.found(f"an event of task {event.task_id}", "unreadable")
        return event

    def _selecting(self, fields: dict[bytes, Any]) -> list[Mailbox]:
        if b"line" not in fields:  # for those alone who watch this one task
            return []
        name = fields[b"line"]
        if name not in self._by_line:
            text = name.decode()
            self._by_line[name] = [box for box, wanted in self._selections.items() if wanted(text)]
        return self._by_line[name]

    async def _catch_up(self) -> None:
        """Read what we did not hear. Meanwhile what is heard in order is handed out as ever."""
        async with self._catching_up:
            heard, early_before = self._revision, len(self._early)
            present = await self.present_revision()
            if heard is None:
                self._revision = present
                self._listening.set()
            elif present < heard:  # another store, or an older copy of it
                self._skip_to(present)
                self._behind.set()  # what we heard of it up to now was taken for old
            while self.revision < present:
                messages = await self._log.after(self.revision, self._is_followed)
                whole = messages and all(map(self._deliver, messages))
                if not whole and self.revision < present:
                    self._skip_to(present)
            early, self._early = self._early, []
            for i, message in enumerate(early):
                if i < early_before and message.revision > present:
                    self.passed_over.found("the channel of events", "it tells of the future")
                elif not self._deliver(message):
                    self._early = early[i:]
                    self._behind.set()
                    return

    def _is_followed(self, fields: dict[bytes, Any]) -> bool:
        # Who comes later reads the task, or the log, when all of this has happened.
        return fields[b"id"] in self._mailboxes or bool(
            self._selections and self._selecting(fields)
        )

    def _skip_to(self, revision: int) -> None:
        log.warning("events up to revision %d are lost: watchers read again", revision)
        self._revision = revision
        watching = {box for boxes in self._mailboxes.values() for box in boxes}
        for mailbox in (*watching, *self._selections):
            mailbox.lose(revision)

    async def _compare(self) -> None:
        """Catch up when messages are missing, and look by ourselves now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_COMPARE_EVERY_S):
                    await self._behind.wait()
            self._behind.clear()
            if self._revision is not None:
                try:
                    await self._catch_up()
                except TasklineError as error:
                    log.debug("catching up: %s", error)
                    self._behind.set()
                    await asyncio.sleep(1)
