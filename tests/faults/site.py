"""A whole Taskline in front of a store of its own, with a fault proxy in between."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.fsck import check_store
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url
from taskline_service.upkeep import RECLAIM_HOLD
from tests.faults.own_store import OwnStore
from tests.faults.proxy import Proxy
from tests.stack import Stack

# Everything goes on within this time of the store being back.
RECOVERY_S = 5.0
# On a machine that does other things too.
SLACK_S = 1.0


def rounds(short: int) -> int:
    """How often, or how long, to do it: more for a longer run, by the environment.

    Such a run needs more time than a test usually has: TASKLINE_FAULT_ROUNDS=10 pytest
    tests/faults --timeout 900
    """
    return short * int(os.environ.get("TASKLINE_FAULT_ROUNDS", "1"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller is told when a call is not carried out."""

    code: grpc.StatusCode
    reason: str
    retry_after_s: float | None

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Refusal":
        """From the status of a call."""
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        assert isinstance(packed, bytes)
        details = status_pb2.Status.FromString(packed).details
        told = [detail.Unpack(retry) for detail in details]
        for detail in details:
            detail.Unpack(info)
        delay = retry.retry_delay.ToTimedelta().total_seconds()
        return cls(error.code(), info.reason, delay if any(told) else None)


UNAVAILABLE = Refusal(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", 1.0)
FULL = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL", 5.0)


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that a fault test speaks to. The stack knows the store through the proxy."""

    own: OwnStore
    proxy: Proxy
    stack: Stack
    # Past the proxy, to look.
    direct: TaskStore

    @classmethod
    @asynccontextmanager
    async def running(
        cls, *, hold: timedelta = RECLAIM_HOLD, **options: str
    ) -> AsyncIterator["Site"]:
        """Until the block ends; then the store must be sound."""
        async with AsyncExitStack() as exits:
            folder = exits.enter_context(tempfile.TemporaryDirectory(prefix="taskline-test-"))
            own = OwnStore(Path(folder))
            await own.start(**options)
            exits.push_async_callback(own.end)
            proxy = await exits.enter_async_context(Proxy(own.address))
            address, keys = parse_redis_url(proxy.url), Keys("test")
            redis = await exits.enter_async_context(Redis(address))
            direct = TaskStore(Redis(own.address), keys)
            exits.push_async_callback(direct.redis.close)
            stack = Stack.running(TaskStore(redis, keys), address, hold=hold)
            async with stack as running:
                yield cls(own, proxy, running, direct)
            await assert_sound(direct)

    async def enqueue(
        self, task_type: str, task_id: str = "", *, timeout: float | None = None
    ) -> task_pb2.Task:
        """Enqueue a task that takes no input; not tried again."""
        request = pb.EnqueueRequest(task_type=task_type, task_id=task_id)
        return (await self.stack.stub.Enqueue(request, timeout=timeout)).task

    async def refusal(self, task_type: str, *, timeout: float | None = None) -> Refusal:
        """How a new task is refused."""
        try:
            await self.enqueue(task_type, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return Refusal.of(error)
        raise AssertionError("it was accepted")

    async def until_accepted(self, task_type: str, *, within: float = RECOVERY_S) -> task_pb2.Task:
        """Returns a task as soon as one is accepted; fails if that takes longer."""
        began = time.monotonic()
        while True:
            try:
                return await self.enqueue(task_type, timeout=within)
            except grpc.aio.AioRpcError as error:
                took = time.monotonic() - began
                assert took < within + SLACK_S, f"still refused after {took:.1f} s: {error}"
                await asyncio.sleep(0.05)

    async def ended(
        self, task_id: str, *, within: float = RECOVERY_S + SLACK_S
    ) -> pb.GetResultResponse:
        """The outcome of a task, which must come within this time."""
        request = pb.GetResultRequest(task_id=task_id)
        request.timeout.FromTimedelta(timedelta(seconds=within))
        response = await self.stack.stub.GetResult(request)
        assert not response.wait_timed_out, f"not ended within {within} s: {response.task}"
        return response

    async def until_ready(self, ready: bool, *, within: float = RECOVERY_S + SLACK_S) -> None:
        """Returns when the server says that it can answer, or that it cannot."""
        async with grpc.aio.insecure_channel(self.stack.address) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="taskline.v1.TaskService")
            wanted = (
                health_pb2.HealthCheckResponse.SERVING
                if ready
                else health_pb2.HealthCheckResponse.NOT_SERVING
            )

            async def so_it_is() -> bool:
                alive = await health.Check(health_pb2.HealthCheckRequest())
                assert alive.status == health_pb2.HealthCheckResponse.SERVING
                return bool((await health.Check(request)).status == wanted)

            await until(so_it_is, within=within)

    async def lost(self) -> int:
        """How often a worker was taken for lost, over all tasks."""
        keys = await self.direct.redis.call(b"KEYS", self.direct.keys.prefix + b"t:*")
        counts = [await self.direct.redis.call(b"HGET", key, b"lo") for key in keys]
        return sum(int(count or 0) for count in counts)


async def until(holds: Callable[[], Awaitable[bool]], *, within: float) -> None:
    """Returns when it holds; fails if that takes longer."""
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110 - the state is elsewhere
            await asyncio.sleep(0.02)


async def assert_sound(store: TaskStore) -> None:
    """Every invariant of the store holds."""
    report = await check_store(store.redis, store.keys)
    assert report.clean, "\n".join(["the store is damaged:", *map(str, report.offences)])
