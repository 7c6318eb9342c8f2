"""A watch that goes on across servers and restarts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._patience import Patience
from taskline_client.errors import Unavailable

# A restart, a failover or a deployment is over by then.
_LONGEST_OUTAGE = timedelta(minutes=5)


async def follow(
    connection: Connection, request: service.WatchRequest
) -> AsyncGenerator[pb.TaskEvent, None]:
    """Every event, heartbeats included, each once, until the server ends the watch.

    Raises:
        Unavailable: No server within the connection's timeout at the start, or
            for five minutes later on.
    """
    here = service.WatchRequest()
    here.CopyFrom(request)
    patience = Patience(connection.timeout)
    while True:
        try:
            watch = connection.stream(connection.streams.Watch, here, wait_for_ready=False)
            async with aclosing(watch) as events:
                async for event in events:
                    here.resume_token = event.resume_token or here.resume_token
                    yield event
                    patience = Patience(_LONGEST_OUTAGE)
            return
        except Unavailable as error:
            if not await patience.pause(error):
                raise
