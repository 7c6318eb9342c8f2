"""The gRPC server: its services, its options, its beginning and its end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc.aio

from taskline.v1 import admin_service_pb2, task_service_pb2
from taskline.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server
from taskline.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from taskline_service import telemetry
from taskline_service.errors import TasklineError
from taskline_service.limits import (
    DEFAULT_SIZES,
    LONGEST_WAIT,
    MAX_METADATA_BYTES,
    MIB,
    PayloadSizes,
)
from taskline_service.rpc import health as rpc_health
from taskline_service.rpc.admin_servicer import AdminServicer
from taskline_service.rpc.catalog import TaskCatalog
from taskline_service.rpc.health import Health
from taskline_service.rpc.interceptor import RpcInterceptor
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.reflection import add_reflection
from taskline_service.rpc.task_servicer import TaskServicer
from taskline_service.store import EventHubs, RedisAddress, TaskStore, answered_by, directory_of
from taskline_service.tasks import TaskRegistry

log = logging.getLogger(__name__)

SERVICE_NAMES = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name,
)
_CHECK_STORE_EVERY_S = 1.0
# After the grace at a shutdown, at most: to tell the callers of what is not done.
_LAST_WORDS_S = 1.0
# A store that has not answered for so long is away.
_CHECK_STORE_WITHIN_S = 2.0
_OPTIONS = (
    # A port that is taken is an error, not a second server that gets half of the calls.
    ("grpc.so_reuseport", 0),
    # Clients may ping idle streams every ten seconds; the default calls that an attack.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # By default, of calls between a soft limit and this one some are refused, by chance.
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    # By default, of a burst of more than a thousand calls some are CANCELLED, by chance.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Lets a balancer that only sees connections spread them again.
    ("grpc.max_connection_age_ms", 1_800_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
)


# As a protobuf value, a small number takes eleven bytes, with its comma in JSON two.
_LARGEST_GROWTH = 6


def _options(sizes: PayloadSizes) -> tuple[tuple[str, int], ...]:
    # So that an input that is too large is told so by us, if it is not far too large.
    room = max(_LARGEST_GROWTH * sizes.max_input, 4 * MIB) + 2 * MIB
    return (*_OPTIONS, ("grpc.max_receive_message_length", room))


class PortTaken(Exception):
    """The address cannot be listened on."""


class RpcServer:
    """Serves TaskService and AdminService over gRPC."""

    def __init__(
        self,
        store: TaskStore,
        address: RedisAddress,
        tasks: TaskRegistry,
        *,
        reflection: bool = True,
        sizes: PayloadSizes = DEFAULT_SIZES,
        longest_wait: timedelta = LONGEST_WAIT,
    ) -> None:
        """Prepare to serve.

        Args:
            store: Where the tasks are.
            address: The same store, for a subscription of our own.
            tasks: Task types whose code is here; the others are known from the store.
            reflection: Whether callers may ask what there is to call.
            sizes: The largest payloads; the workers have to be told the same.
            longest_wait: How long GetResult waits at most.
        """
        self._store = store
        self._directory = directory_of(store)
        self._lifetime = Lifetime()
        self._hubs = EventHubs(store, address)
        self._catalog = TaskCatalog(self._directory, tasks)
        self._health = Health(SERVICE_NAMES)
        self._interceptor = RpcInterceptor()
        self._server = grpc.aio.server(interceptors=[self._interceptor], options=_options(sizes))
        self._reflection = reflection
        self._tasks = TaskServicer(
            store,
            self._hubs,
            self._catalog,
            self._lifetime,
            sizes=sizes,
            longest_wait=longest_wait,
        )
        add_TaskServiceServicer_to_server(self._tasks, self._server)
        add_AdminServiceServicer_to_server(
            AdminServicer(
                store,
                self._directory,
                sizes=sizes,
                longest_wait=longest_wait,
                started_us=time.time_ns() // 1000,
            ),
            self._server,
        )

    @asynccontextmanager
    async def serving(self, host_and_port: str) -> AsyncIterator[int]:
        """Serve until the block ends; gives the port.

        Raises:
            PortTaken: Somebody else listens there, or it is no address of this machine.
        """
        await self._health.add_to(self._server)
        if self._reflection:
            add_reflection(self._server, [*SERVICE_NAMES, rpc_health.SERVICE_NAME])
        try:
            port = self._server.add_insecure_port(host_and_port)
        except RuntimeError as error:
            raise PortTaken(f"cannot listen on {host_and_port}: is the port in use?") from error
        async with asyncio.TaskGroup() as group:
            loops = [self._hubs.run(), self._catalog.run(), self._watch_store()]
            background = [group.create_task(loop) for loop in loops]
            await self._catalog.published()
            # Whoever waits for a task, from the first call on, is told of its end.
            await self._hubs.listening()
            await self._server.start()
            try:
                with telemetry.observed_queues(self._directory.all_queues):
                    yield port
            finally:
                await self._server.stop(None)
                for task in background:
                    task.cancel()

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return self._interceptor.calls

    async def drain(self, grace: timedelta) -> None:
        """Accept no more, end what waits, and give the rest `grace` to finish."""
        await self._health.drain()
        self._lifetime.drain(spread=min(2.0, grace.total_seconds() / 2))
        # What gRPC cuts off itself would only be told that it was cancelled.
        last = grace.total_seconds() + _LAST_WORDS_S
        stopping = asyncio.create_task(self._server.stop(last))
        await asyncio.wait([stopping], timeout=grace.total_seconds())
        if self.calls:
            log.warning("%d calls are not done after the grace: ended", self.calls)
        self._interceptor.cut_off()
        await stopping

    async def _watch_store(self) -> None:
        """Ready as long as the store takes writes; tells when that changes."""
        ready, loop = True, asyncio.get_running_loop()
        while True:
            try:
                with answered_by(loop.time() + _CHECK_STORE_WITHIN_S):
                    await self._directory.check_writable()
                if not ready:
                    log.info("ready again: the store answers")
                ready = True
            except TasklineError as error:
                if ready:
                    log.warning("not ready: %s", error)
                ready = False
            await self._health.set_ready(ready)
            await asyncio.sleep(_CHECK_STORE_EVERY_S)
