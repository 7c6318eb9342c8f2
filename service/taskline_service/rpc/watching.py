"""One stream of events: snapshots first, then what happens, then one end for each task."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

from taskline.v1 import task_pb2 as pb
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.watch_introduction import Introduction
from taskline_service.rpc.watch_messages import EventMessages
from taskline_service.rpc.watch_options import WatchOptions
from taskline_service.rpc.watch_telling import Telling
from taskline_service.store import EventHub, Gap, Mailbox, TaskStore
from taskline_service.task import Task


class WatchStream:
    """Follows tasks until all of them have ended."""

    def __init__(
        self,
        store: TaskStore,
        hub: EventHub,
        lifetime: Lifetime,
        messages: EventMessages,
        task_ids: Sequence[str],
        *,
        options: WatchOptions,
    ) -> None:
        self._hub = hub
        self._lifetime = lifetime
        self._telling = Telling(messages, task_ids, options)
        self._introduction = Introduction(store, hub, self._telling)
        self._heartbeat_interval = options.heartbeat_interval.total_seconds()

    @property
    def ended(self) -> bool:
        """Whether every task has ended, and that was said."""
        return not self._telling.open

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
        with self._hub.watch(self._telling.ids) as mailbox, self._lifetime.woken(mailbox.wake):
            if resume_token:
                opening = self._introduction.resumed(resume_token)
            elif begin:
                opening = self._introduction.of([await begin()])
            else:
                opening = self._introduction.of_all()
            async for message in opening:
                yield message
            async for message in self._follow(mailbox):
                yield message

    async def _follow(self, mailbox: Mailbox) -> AsyncIterator[pb.TaskEvent]:
        telling = self._telling
        while telling.open:
            event = mailbox.take()
            if event is None:
                if not await self._wait(mailbox):
                    if mailbox.empty:
                        telling.settle(self._hub.revision)
                    yield telling.heartbeat()
                for due in telling.pacing.take_due():
                    for message in await telling.event(due):
                        yield message
            elif isinstance(event.change, Gap):
                telling.pacing.clear()
                async for message in self._introduction.of_all(gap=True):
                    yield message
            elif telling.is_new(event):
                for ready in telling.pacing.order(event):
                    for message in await telling.event(ready):
                        yield message

    async def _wait(self, mailbox: Mailbox) -> bool:
        """Wait for an event, or for held progress to be due; False if a heartbeat is due first."""
        heartbeat_at = self._telling.sent_at + self._heartbeat_interval
        wake_at = min(heartbeat_at, self._telling.pacing.next_due or heartbeat_at)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(wake_at):
                await mailbox.arrival()
                self._lifetime.check()
                return True
        return wake_at < heartbeat_at
