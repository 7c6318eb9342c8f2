"""Enqueues of one client that come together, sent in one call."""

import asyncio
from collections import deque
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial

from grpc.aio import AioRpcError

from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._status import error_of, error_of_entry
from taskline_client._tracing import Metadata
from taskline_client.errors import CallFailed

# Enough that the server never waits for us, and few enough that many go together.
_MOST_CALLS = 4
_MOST_ENTRIES = 50
# So that the answer, which repeats the labels, is never cut short.
_MOST_BYTES = 256 * 1024


@dataclass(slots=True, eq=False)
class _Entry:
    request: service.EnqueueRequest
    size: int
    # By the event loop's clock.
    expires: float
    # Carries its own trace.
    metadata: Metadata
    answer: "asyncio.Future[service.EnqueueResponse]"

    def names(self) -> set[str]:
        """Of the task that it makes: a call may name each once."""
        return {self.request.task_id, self.request.request_id} - {""}


@dataclass(slots=True, eq=False)
class Folding:
    """Sends one request by itself, and several that wait at the same time as a batch.

    Each has its own answer, or its own error, and keeps its own trace.
    """

    connection: Connection
    _waiting: deque[_Entry] = field(default_factory=deque)
    _calls: "set[asyncio.Task[None]]" = field(default_factory=set)
    _planned: bool = False

    async def enqueue(self, request: service.EnqueueRequest) -> service.EnqueueResponse:
        """The answer to Enqueue; raises as Connection.call."""
        loop = asyncio.get_running_loop()
        with self.connection.traced(request) as metadata:
            expires = loop.time() + self.connection.timeout.total_seconds()
            size = request.ByteSize()
            entry = _Entry(request, size, expires, metadata, loop.create_future())
            self._waiting.append(entry)
            self._plan()
            return await entry.answer

    def _plan(self) -> None:
        # Not at once: others may be enqueued in the same turn of the event loop.
        if not self._planned and self._waiting and len(self._calls) < _MOST_CALLS:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._planned = False
        while len(self._calls) < _MOST_CALLS and (entries := self._take()):
            # Of nobody's context: a batch belongs to no single trace.
            call = asyncio.create_task(_call(self.connection, entries), context=Context())
            self._calls.add(call)
            call.add_done_callback(self._ended)
            for entry in entries:
                entry.answer.add_done_callback(partial(_leave, call, entries))

    def _ended(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        self._plan()

    def _take(self) -> list[_Entry]:
        entries, size, names = list[_Entry](), 0, set[str]()
        while self._waiting and len(entries) < _MOST_ENTRIES:
            entry = self._waiting[0]
            if entry.answer.done():  # its caller has given up
                self._waiting.popleft()
                continue
            own = entry.names()
            size += entry.size
            if entries and (size > _MOST_BYTES or not names.isdisjoint(own)):
                break
            names |= own
            entries.append(self._waiting.popleft())
        return entries


def _leave(call: "asyncio.Task[None]", entries: list[_Entry], _answer: object) -> None:
    """A call that nobody waits for any more ends."""
    if all(entry.answer.cancelled() for entry in entries):
        call.cancel()


async def _call(connection: Connection, entries: list[_Entry]) -> None:
    timeout = min(entry.expires for entry in entries) - asyncio.get_running_loop().time()
    try:
        if len(entries) == 1:
            await _call_alone(connection, entries[0], timeout)
        else:
            await _call_together(connection, entries, timeout)
    except Exception as error:  # whatever it is, each caller is told
        for entry in entries:
            if not entry.answer.done():
                entry.answer.set_exception(_own(error, connection.address))
    finally:
        for entry in entries:
            entry.answer.cancel()  # nothing, but where the client was closed


def _own(error: Exception, address: str) -> Exception:
    """One for each caller: it gets the traceback of where it is raised."""
    if isinstance(error, AioRpcError):
        return error_of(error, address)
    return type(error)(error.status) if isinstance(error, CallFailed) else error


async def _call_alone(connection: Connection, entry: _Entry, timeout: float) -> None:
    answer = await connection.tasks.Enqueue(entry.request, timeout=timeout, metadata=entry.metadata)
    if not entry.answer.done():
        entry.answer.set_result(answer)


async def _call_together(connection: Connection, entries: list[_Entry], timeout: float) -> None:
    batch = service.BatchEnqueueRequest(allow_partial=True)
    for entry in entries:
        request = batch.requests.add()
        request.CopyFrom(entry.request)
        for key, value in entry.metadata:
            if key in ("traceparent", "tracestate"):
                request.trace_context.setdefault(key, value)
    with connection.traced(batch) as metadata:
        answer = await connection.tasks.BatchEnqueue(batch, timeout=timeout, metadata=metadata)
    refused = {failure.index: failure for failure in answer.failures}
    for index, entry in enumerate(entries):
        if entry.answer.done():
            continue
        if index in refused:
            entry.answer.set_exception(error_of_entry(refused[index]))
        else:
            entry.answer.set_result(answer.responses[index])
