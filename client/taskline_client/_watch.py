"""A watch that goes on across servers and restarts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Protocol

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert import state_from
from taskline_client._patience import Patience
from taskline_client.errors import Unavailable

# A restart, a failover or a deployment is over by then.
_LONGEST_OUTAGE = timedelta(minutes=5)


class Outages(Protocol):
    """Is told of a watch that cannot go on at once."""

    def failed(self, error: Unavailable) -> None:
        """It broke off, or an attempt to resume it did."""

    def begun(self, error: Unavailable) -> None:
        """It broke off, and so did the first attempt to resume it."""

    def over(self) -> None:
        """It goes on."""


class _Untold:
    def failed(self, error: Unavailable) -> None:
        pass

    def begun(self, error: Unavailable) -> None:
        pass

    def over(self) -> None:
        pass


async def follow(
    connection: Connection,
    request: service.WatchRequest,
    outages: Outages | None = None,
    *,
    enqueued: pb.Task | None = None,
) -> AsyncGenerator[pb.TaskEvent, None]:
    """Every event, heartbeats included, each once, until the server ends the watch.

    Without a token in the request it begins with the tasks as they are now; or
    with the one task as an answer to Enqueue had it (`enqueued`), and then tells
    all that happened since.

    Raises:
        Unavailable: No server would begin it for the connection's timeout, or go on with
            it for five minutes.
    """
    here = service.WatchRequest()
    here.CopyFrom(request)
    if enqueued is not None and _leads_on(enqueued):
        here.resume_token = enqueued.resume_token
        yield _snapshot_of(enqueued)
    longest, patience = connection.timeout, None
    outage = _Outage(outages or _Untold())
    while True:
        try:
            if outage.no_server:
                # The next event may take its time: that there is a server is news enough.
                await connection.check(within=connection.timeout, for_streams=True)
                outage.end()
            watch = connection.stream(connection.streams.Watch, here, wait_for_ready=False)
            async with aclosing(watch) as events:
                async for event in events:
                    outage.end()
                    longest, patience = _LONGEST_OUTAGE, None
                    here.resume_token = event.resume_token or here.resume_token
                    yield event
            return
        except Unavailable as error:
            outage.failed(error)
            # It begins with the failure: a watch may have been quiet for long before.
            patience = patience or Patience(longest)
            if not await patience.pause(error):
                raise


def _leads_on(task: pb.Task) -> bool:
    """Whether its token leads to its end: after that, nothing more is told of a task."""
    return bool(task.resume_token) and not state_from(task.state).terminal


def _snapshot_of(task: pb.Task) -> pb.TaskEvent:
    """As a server would begin; only the sequence is not in the answer to Enqueue."""
    return pb.TaskEvent(
        task_id=task.id,
        event_time=task.update_time if task.HasField("update_time") else None,
        resume_token=task.resume_token,
        snapshot=pb.TaskEvent.Snapshot(task=task),
    )


class _Outage:
    """Counts failures since the last event, and tells of the second one."""

    def __init__(self, told: Outages) -> None:
        self._told = told
        self._failures = 0
        self._begun = False
        self.no_server = False

    def failed(self, error: Unavailable) -> None:
        self._told.failed(error)
        self._failures += 1
        if self._failures > 1 and not self._begun:
            self._begun = True
            self._told.begun(error)
        # With a reason, it is a server that answered so.
        self.no_server = self._begun and not error.reason

    def end(self) -> None:
        if self._begun:
            self._told.over()
        self._failures, self._begun, self.no_server = 0, False, False
