"""Calls to a server: deadlines, spans and errors, the same for every one of them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, cached_property
from typing import TypeVar

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from grpc import ChannelConnectivity

from taskline.v1.admin_service_pb2_grpc import AdminServiceStub
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_client._channel import open_channel
from taskline_client._status import translated
from taskline_client._tracing import Metadata, Tracing, tracing_to
from taskline_client.errors import CallStatus, ClientClosed, Unavailable

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")


class Connection:
    """The two services of one server, called with the client's rules.

    Channels open at the first call, so it can be made outside an event loop.
    """

    def __init__(self, address: str, *, timeout: timedelta = timedelta(seconds=10)) -> None:
        if not address.strip():  # as of a variable that is not set
            raise ValueError("the address is empty: it should be HOST:PORT")
        self.address = address
        self.timeout = timeout
        self._channels: list[grpc.aio.Channel] = []
        self._closed = False
        # That of the first call: channels work in no other.
        self._loop: asyncio.AbstractEventLoop | None = None

    @cached_property
    def tasks(self) -> TaskServiceStub:
        """Everything of TaskService that answers once."""
        return TaskServiceStub(self._channel)

    @cached_property
    def admin(self) -> AdminServiceStub:
        """AdminService."""
        return AdminServiceStub(self._channel)

    @cached_property
    def streams(self) -> TaskServiceStub:
        """TaskService for long streams: a connection of its own, with a small window."""
        return TaskServiceStub(self._stream_channel)

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        timeout: timedelta | None = None,
        wait_for_ready: bool | None = None,
    ) -> Response:
        """One answer, within `timeout` or else the connection's own."""
        seconds = (timeout if timeout is not None else self.timeout).total_seconds()
        with self.traced(request) as metadata:
            return await method(
                request, timeout=seconds, metadata=metadata, wait_for_ready=wait_for_ready
            )

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        *,
        wait_for_ready: bool | None = None,
    ) -> AsyncGenerator[Response, None]:
        """Answer after answer, without a deadline; closing it cancels the call."""
        with self.traced(request) as metadata:
            call = method(request, metadata=metadata, wait_for_ready=wait_for_ready)
            try:
                async for response in call:
                    yield response
            finally:
                call.cancel()

    @contextmanager
    def traced(self, request: Message) -> Iterator[Metadata]:
        """Surrounds the call with this request: its span, and the errors of this package.

        What it gives is the metadata to send.
        """
        with (
            self._open_all_along(),
            self._tracing.call(_method_name(request.DESCRIPTOR)) as metadata,
            translated(self.address),
        ):
            yield metadata

    async def check(self, *, within: timedelta, for_streams: bool = False) -> None:
        """Make sure that there is a server, without waiting for one to come up.

        Args:
            within: How long it may take.
            for_streams: Whether the connection of long streams is meant.

        Raises:
            Unavailable: Nothing answers at the address.
        """
        with self._open_all_along():
            try:
                async with asyncio.timeout(within.total_seconds()):
                    channel = self._stream_channel if for_streams else self._channel
                    found = await _answers(channel)
            except TimeoutError:
                found = False
        if not found:
            message = f"no Taskline server answers at {self.address}"
            raise Unavailable(CallStatus(code="UNAVAILABLE", message=message, metadata={}))

    async def close(self) -> None:
        """Cancel what is under way and disconnect."""
        self._closed = True
        for channel in self._channels:
            await channel.close()

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        return self._open()

    @cached_property
    def _stream_channel(self) -> grpc.aio.Channel:
        return self._open(for_watching=True)

    @cached_property
    def _tracing(self) -> Tracing:
        return tracing_to(self.address)

    @contextmanager
    def _open_all_along(self) -> Iterator[None]:
        """Raises ClientClosed if the connection is closed, also if that happens meanwhile."""
        self._check_open()
        try:
            yield
        except (asyncio.CancelledError, grpc.aio.UsageError):
            # gRPC cancels what is under way. So may the caller, and has to see that.
            caller = asyncio.current_task()
            if self._closed and not (caller and caller.cancelling()):
                raise ClientClosed(under_way=True) from None
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed
        here = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = here
        elif self._loop is not here:
            raise RuntimeError(
                "this client belongs to the event loop of its first call: make one in each, "
                "or take taskline_client.sync, whose clients work in all"
            )

    def _open(self, *, for_watching: bool = False) -> grpc.aio.Channel:
        self._check_open()
        channel = open_channel(self.address, for_watching=for_watching)
        self._channels.append(channel)
        return channel


async def _answers(channel: grpc.aio.Channel) -> bool:
    state = channel.get_state(try_to_connect=True)
    while state is not ChannelConnectivity.READY:
        if state is ChannelConnectivity.TRANSIENT_FAILURE:
            return False
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
    return True


@cache
def _method_name(descriptor: Descriptor) -> str:
    """ "package.Service/Method" of a request.

    The contract names each request after its method, and has one service per
    file; `buf lint` holds it to the first.
    """
    (service,) = descriptor.file.services_by_name.values()
    return f"{service.full_name}/{descriptor.name.removesuffix('Request')}"
