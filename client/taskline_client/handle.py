"""One task, from the caller's side: look at it, follow it, stop it, have its result."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar, cast

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert import task_from
from taskline_client._convert_events import event_from
from taskline_client._outcome import ask_for_outcome, value_of
from taskline_client._watch import follow
from taskline_client.events import TaskEvent
from taskline_client.types import Task

R = TypeVar("R")

_DEFAULT_TIMEOUT = timedelta(minutes=5)


class TaskHandle(Generic[R]):
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
    ) -> None:
        self._connection = connection
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
        request = service.GetTaskRequest(
            task_id=self.id, payload_format=pb.PAYLOAD_FORMAT_JSON_BYTES
        )
        answer = await self._connection.call(self._connection.tasks.GetTask, request)
        return task_from(answer.task)

    async def result(
        self, *, timeout: timedelta | None = None, deadline: datetime | None = None
    ) -> R:
        """Wait for the task to end, and return what it returned.

        Args:
            timeout: The longest wait; 5 minutes if neither is given. Zero looks
                without waiting.
            deadline: Wait until then at most (aware). One that has passed looks
                without waiting.

        Raises:
            TaskFailed: The task failed; `error` tells why.
            TaskCancelled: It was stopped.
            TimeoutError: It has not ended yet. It goes on; call again.
            ResultExpired: It completed, and its result is no longer kept.
            TaskNotFound: There is no such task.
            Unavailable: No server answered all the while.
            ValueError: Both timeout and deadline, or one that means nothing.
        """
        wait = _longest_wait(timeout, deadline)
        answer = await ask_for_outcome(self._connection, self.id, wait=wait)
        return cast(R, await value_of(self._connection, answer, waited=wait))

    def watch(self) -> AsyncGenerator[TaskEvent, None]:
        """Follow the task: a Snapshot first, Ended last, as they happen.

        The handle that `enqueue` gave tells everything, from the task as it was
        then, however late this is called. That of `TaskClient.handle` tells what
        happens from now on: what was before is in the Snapshot, but for log lines
        and outputs, which ListTaskEvents of the service has.

        Goes on by itself when the server restarts or another one takes over.

        Raises:
            TaskNotFound: There is no such task.
            Unavailable: No server could be found again.
        """
        request = service.WatchRequest(task_ids=[self.id])
        return watch(self._connection, request, enqueued=self._enqueued)

    async def cancel(self, reason: str = "") -> Task:
        """Ask the task to stop; one that has ended stays as it is.

        A running task is told and may take its time: see `cancel_request_time`
        of the answer.

        Args:
            reason: Shown in the task's error, at most 500 characters.

        Raises:
            TaskNotFound: There is no such task.
        """
        request = service.CancelTaskRequest(task_id=self.id, reason=reason)
        answer = await self._connection.call(self._connection.tasks.CancelTask, request)
        return task_from(answer.task)


async def watch(
    connection: Connection, request: service.WatchRequest, *, enqueued: pb.Task | None = None
) -> AsyncGenerator[TaskEvent, None]:
    """The events of a watch as values; heartbeats stay inside."""
    request.payload_format = pb.PAYLOAD_FORMAT_JSON_BYTES
    async with aclosing(follow(connection, request, enqueued=enqueued)) as events:
        async for event in events:
            if happened := event_from(event):
                yield happened


def _longest_wait(timeout: timedelta | None, deadline: datetime | None) -> timedelta:
    if timeout is not None and deadline is not None:
        raise ValueError("either timeout or deadline, not both")
    if deadline is not None:
        if deadline.tzinfo is None:
            raise ValueError("deadline must be an aware datetime")
        return max(deadline - datetime.now(UTC), timedelta())
    if timeout is not None and timeout < timedelta():
        raise ValueError("timeout must not be negative")
    return _DEFAULT_TIMEOUT if timeout is None else timeout
