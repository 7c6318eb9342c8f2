"""The outcome of a task: asking for it until it is there, and fetching large results."""

from contextlib import aclosing
from datetime import timedelta
from time import monotonic

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._patience import Patience
from taskline_client._requests import duration
from taskline_client._results import has_ended
from taskline_client.errors import CallStatus, Unavailable, WrongState

# The longest wait of a server that is not configured otherwise.
_LONGEST_WAIT = 300.0  # seconds
# For the way there and back: a server that answers must be the one that ends the wait.
_MARGIN = timedelta(seconds=1)
# A restart or a failover is over by then.
_LONGEST_OUTAGE = timedelta(minutes=1)


async def ask_for_outcome(
    connection: Connection,
    task_id: str,
    *,
    wait: timedelta,
    payload_format: pb.PayloadFormat.ValueType = pb.PAYLOAD_FORMAT_JSON_BYTES,
) -> service.GetResultResponse:
    """The answer once the task has ended, or the last one before `wait` was over.

    A server that takes the call and then is silent is left a second after that; if there is
    nothing to wait for (zero), after the connection's timeout, as with any other call.

    Raises:
        Unavailable: No server answered in all that time.
        TaskNotFound, ResultExpired: There is no outcome to wait for.
    """
    end = monotonic() + wait.total_seconds()
    margin = min(_MARGIN, connection.timeout) if wait else connection.timeout
    patience = Patience(wait)
    answer: service.GetResultResponse | None = None
    while True:
        left = timedelta(seconds=min(max(end - monotonic(), 0.0), _LONGEST_WAIT))
        request = service.GetResultRequest(
            task_id=task_id, timeout=duration(left), payload_format=payload_format
        )
        try:
            # Not waiting for a server to come up: that is for `patience`, which has a limit.
            answer = await connection.call(
                connection.tasks.GetResult, request, timeout=left + margin, wait_for_ready=False
            )
        except Unavailable as error:
            if await patience.pause(error):
                continue
            if answer is None:
                raise
            return answer
        if has_ended(answer) or not left:
            return answer


async def download(connection: Connection, task: pb.Task) -> bytes:
    """The bytes of a result that is too large for one answer.

    A download that breaks is continued where it broke, by any server.

    Raises:
        ResultExpired, TaskNotFound: It is no longer there.
        WrongState: The task was executed anew meanwhile.
        Unavailable: No server for too long.
    """
    data, patience, broken = bytearray(), Patience(_LONGEST_OUTAGE), False
    while True:
        request = service.DownloadResultRequest(task_id=task.id, offset=len(data))
        answers = connection.stream(
            connection.streams.DownloadResult, request, wait_for_ready=False
        )
        try:
            async with aclosing(answers):
                async for answer in answers:
                    data += answer.chunk
                    patience = Patience(_LONGEST_OUTAGE)
            break
        except Unavailable as error:
            broken = True
            if not await patience.pause(error):
                raise
    if broken:
        await _check_unchanged(connection, task)
    return bytes(data)


async def _check_unchanged(connection: Connection, task: pb.Task) -> None:
    """Parts of two results must not become one."""
    request = service.GetTaskRequest(task_id=task.id, view=pb.TASK_VIEW_BASIC)
    now = (await connection.call(connection.tasks.GetTask, request)).task
    if (now.uid, now.end_time) != (task.uid, task.end_time):
        message = f"task {task.id} was executed anew while its result was downloaded"
        status = CallStatus(code="FAILED_PRECONDITION", message=message, metadata={})
        raise WrongState(status)
