"""A stream of what happens to all tasks that a filter selects, those to come included.

Events come from the mailbox, or from the log where that has more: after a token, and when the
mailbox was full.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from taskline.v1 import task_pb2 as pb
from taskline_service.errors import ResumeTokenExpired
from taskline_service.rpc import tokens
from taskline_service.rpc.filter_course import Course
from taskline_service.rpc.filter_selection import Selection
from taskline_service.rpc.filter_telling import FilterTelling
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.task_reads import TaskReads
from taskline_service.rpc.watch_messages import EventMessages
from taskline_service.rpc.watch_options import WatchOptions
from taskline_service.store import Event, EventHub, Gap, Mailbox

_BATCH = 100


class FilterWatch:
    """Follows all tasks that a filter selects, without an end."""

    def __init__(
        self,
        reads: TaskReads,
        hub: EventHub,
        lifetime: Lifetime,
        messages: EventMessages,
        selection: Selection,
        *,
        options: WatchOptions,
    ) -> None:
        self._hub = hub
        self._lifetime = lifetime
        self._selection = selection
        self._course = Course(selection.subscription)
        self._telling = FilterTelling(reads, messages, self._course, selection, options)
        self._heartbeat_interval = options.heartbeat_interval.total_seconds()
        # Up to where the log has been read; None while the mailbox has everything.
        self._log_read: int | None = None

    @property
    def token(self) -> str:
        """Where it has come to."""
        return self._course.token(self._telling.pacing)

    async def events(
        self, *, resume_token: str = "", on_begun: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncGenerator[pb.TaskEvent, None]:
        """The events from now on, or from where the token was; `on_begun` is awaited first.

        The first comes at once, if need be a sign of life: nothing after it is missed, not
        even by who breaks off right there, as it has a token like any other.

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
                position = tokens.filter_position(resume_token, self._selection.subscription)
                self._course.resume(position)
                self._log_read = self._course.read_from
            else:
                self._course.begin(await self._hub.present_revision())
            if on_begun is not None:
                await on_begun()
            while True:
                async for message in self._next(mailbox):
                    yield message
                self._lifetime.check()

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
                self._course.settle(self._hub.revision)
                # Nothing that is wanted may have come meanwhile, but other things.
                if not await self._wait(mailbox) and mailbox.empty:
                    self._course.settle(self._hub.revision)
        async for message in self._telling.of(self._course.new(events, came_to)):
            yield message
        if came_to:
            self._course.settle(came_to)
        if caught_up:
            self._log_read = None
        async for message in self._telling.of_held():
            yield message
        if asyncio.get_running_loop().time() >= self._heartbeat_at:
            yield self._telling.heartbeat()

    def _take(self, mailbox: Mailbox) -> list[Event]:
        events = list[Event]()
        while len(events) < _BATCH and (event := mailbox.take()) is not None:
            if isinstance(event.change, Gap) and not event.task_id:
                events.clear()  # the log has them, and what came before
                self._log_read = self._course.read_from
                break
            events.append(event)
        return events

    async def _wait(self, mailbox: Mailbox) -> bool:
        """Wait for an event; False if something else is due first."""
        due_at = self._telling.pacing.next_due or self._heartbeat_at
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(self._heartbeat_at, due_at)):
                await mailbox.arrival()
                return True
        return False

    @property
    def _heartbeat_at(self) -> float:
        return self._telling.sent_at + self._heartbeat_interval
