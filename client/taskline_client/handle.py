"""One task, from the caller's side: look at it, follow it, stop it, have its result."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert import task_from
from taskline_client._convert_events import event_from
from taskline_client._outcome import ask_for_outcome, download
from taskline_client._pages import pages
from taskline_client._requests import cancel_request, events_request, get_request, watch_request
from taskline_client._results import longest_wait, read_result, result_json
from taskline_client._watch import follow
from taskline_client.events import TaskEvent
from taskline_client.types import Task

R_co = TypeVar("R_co", covariant=True)


class TaskHandle(Generic[R_co]):
    """A task by its id; R is the type of its result.

    Comes from a TaskClient and works as long as that is open.
    """

    def __init__(
        self,
        connection: Connection,
        task_id: str,
        *,
        created: bool = True,
        enqueued: pb.Task | None = None,
        read: Callable[[bytes], R_co] = json.loads,
    ) -> None:
        self._connection = connection
        # What the result is, from its JSON.
        self._read = read
        # As the answer to Enqueue had it, if this comes from there.
        self._enqueued = enqueued
        self.id = task_id
        # False if enqueue found the task that another request had made.
        self.created = created

    def __repr__(self) -> str:
        return f"TaskHandle({self.id!r})"

    async def get(self) -> Task:
        """Everything known about the task now, its input and attempts included.

        Raises:
            TaskNotFound: It never existed, or its record has been dropped.
        """
        answer = await self._connection.call(self._connection.tasks.GetTask, get_request(self.id))
        return task_from(answer.task)

    async def result(
        self,
        *,
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        reraise: bool = False,
    ) -> R_co:
        """Wait for the task to end, and return what it returned.

        Args:
            timeout: The longest wait; 5 minutes if neither is given. Zero looks
                without waiting. A server that has gone silent costs up to a second more.
            deadline: Wait until then at most (aware). One that has passed looks
                without waiting.
            reraise: If the task failed with one of Python's built-in exceptions, raise
                that, from TaskFailed and with the remote traceback below it. Not for those
                that cannot be made of what they say: StopIteration, StopAsyncIteration,
                UnicodeDecodeError and its like, groups, and what is no Exception.

        Raises:
            TaskFailed: The task failed; `error` tells why.
            TaskCancelled: It was stopped.
            TimeoutError: It has not ended yet. It goes on; call again.
            ResultExpired: It completed, and its result is no longer kept.
            ResultMismatch: The result is not of the declared type.
            TaskNotFound: There is no such task.
            Unavailable: No server answered all the while.
            ValueError, TypeError: Both timeout and deadline, or one that means nothing.
        """
        wait = longest_wait(timeout, deadline)
        answer = await ask_for_outcome(self._connection, self.id, wait=wait)
        text = result_json(answer, waited=wait, reraise=reraise)
        if text is None:
            text = await download(self._connection, answer.task)
        return read_result(self.id, text, self._read)

    def watch(self) -> AsyncGenerator[TaskEvent, None]:
        """Follow the task: a Snapshot first, Ended last, as they happen.

        The handle that `enqueue` gave tells everything, from the task as it was
        then, however late this is called. That of `TaskClient.handle` tells what
        happens from now on: what was before is in the Snapshot, but for log lines
        and outputs, which `events` has.

        Goes on by itself when the server restarts or another one takes over.

        Raises:
            TaskNotFound: There is no such task.
            Unavailable: No server could be found again.
        """
        return watch(self._connection, watch_request([self.id]), enqueued=self._enqueued)

    async def events(self) -> AsyncGenerator[TaskEvent, None]:
        """What was recorded of the task until now, oldest first.

        Its state changes, log lines and outputs; of its progress only the last. If older
        ones were dropped, the first is a Snapshot with `gap`.

        Raises:
            TaskNotFound: There is no such task.
        """

        async def fetch(token: str) -> service.ListTaskEventsResponse:
            request = events_request(self.id, token)
            return await self._connection.call(self._connection.tasks.ListTaskEvents, request)

        async with aclosing(pages(fetch)) as all_pages:
            async for page in all_pages:
                for event in page.events:
                    if happened := event_from(event):
                        yield happened

    async def cancel(self, reason: str = "") -> Task:
        """Ask the task to stop; one that has ended stays as it is.

        A running task is told and may take its time: see `cancel_request_time`
        of the answer.

        Args:
            reason: Shown in the task's error, at most 500 characters.

        Raises:
            TaskNotFound: There is no such task.
        """
        request = cancel_request(self.id, reason)
        answer = await self._connection.call(self._connection.tasks.CancelTask, request)
        return task_from(answer.task)


async def watch(
    connection: Connection, request: service.WatchRequest, *, enqueued: pb.Task | None = None
) -> AsyncGenerator[TaskEvent, None]:
    """The events of a watch as values; heartbeats stay inside."""
    async with aclosing(follow(connection, request, enqueued=enqueued)) as events:
        async for event in events:
            if happened := event_from(event):
                yield happened
