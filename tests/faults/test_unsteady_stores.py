"""A store that is ended and started again, or that only a bad network leads to, under load."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc.aio
import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext
from taskline_service.store.values import ListQuery
from taskline_service.task import TaskState
from tests.faults.site import RECOVERY_S, SLACK_S, UNAVAILABLE, Refusal, Site, rounds, until

_CLIENTS = 10


class Load:
    """Clients that enqueue one task after the other, and a worker that runs them."""

    def __init__(self, site: Site) -> None:
        self.accepted = set[str]()
        self.refusals = Counter[Refusal]()
        self.executed = Counter[str]()
        self._site = site
        self._number = 0

    @classmethod
    @asynccontextmanager
    async def on(
        cls, site: Site, *, lease: timedelta = timedelta(seconds=5)
    ) -> AsyncIterator["Load"]:
        """Until the block ends; then each task that was accepted must have ended, once."""
        load = cls(site)

        @site.stack.tasks.task("work")
        async def work(ctx: TaskContext) -> int:
            load.executed[ctx.task_id] += 1
            await asyncio.sleep(random.uniform(0, 0.05))
            return ctx.attempt

        async with site.stack.worker(lease=lease):
            clients = [asyncio.create_task(load._enqueue_all_the_time()) for _ in range(_CLIENTS)]
            try:
                yield load
            finally:
                for client in clients:
                    client.cancel()
                await asyncio.gather(*clients, return_exceptions=True)
            await load._check()

    async def _enqueue_all_the_time(self) -> None:
        while True:
            self._number += 1
            task_id = f"task-{self._number}"
            request = pb.EnqueueRequest(task_type="work", request_id=task_id)
            while task_id not in self.accepted:
                try:
                    task = (await self._site.stack.stub.Enqueue(request, timeout=2)).task
                    assert task.id == task_id
                    self.accepted.add(task_id)
                except grpc.aio.AioRpcError as error:
                    self.refusals[Refusal.of(error)] += 1
                await asyncio.sleep(0.02)

    async def goes_on(self) -> None:
        """Returns when tasks are accepted and executed again, which must be soon."""
        accepted, executed = len(self.accepted), len(self.executed)

        async def more() -> bool:
            return len(self.accepted) > accepted and len(self.executed) > executed

        await until(more, within=RECOVERY_S + SLACK_S)

    async def _check(self) -> None:
        for task_id in self.accepted:
            ended = await self._site.ended(task_id, within=15)
            assert ended.task.state == task_pb2.Task.STATE_COMPLETED
        # Those that were being enqueued when the clients were stopped are there or not.
        listed = [
            task.id
            for task in (await self._site.direct.list(ListQuery(), count=100_000)).tasks
            if task.state is TaskState.COMPLETED
        ]
        assert self.accepted <= set(listed)
        assert len(listed) == len(set(listed))
        assert set(self.refusals) <= {UNAVAILABLE}


@pytest.mark.parametrize(
    ("number", "fsync"),
    [
        pytest.param(signal.SIGTERM, "everysec", id="SIGTERM"),
        # With `everysec` it holds writes back for as long as an fsync takes: a kill loses them.
        pytest.param(signal.SIGKILL, "always", id="SIGKILL"),
    ],
)
async def test_restarts_of_the_store_lose_nothing_and_everything_goes_on(
    number: signal.Signals, fsync: str
) -> None:
    """F4, F5."""
    async with Site.running(appendfsync=fsync) as site:
        async with Load.on(site) as load:
            await load.goes_on()
            for _ in range(rounds(3)):
                await site.own.end(number)
                await asyncio.sleep(random.uniform(0, 0.5))  # the fault itself
                await site.own.start(appendfsync=fsync)
                await load.goes_on()
            await site.until_ready(True)

        assert await site.lost() == 0
        assert max(load.executed.values()) == 1


async def test_an_outage_of_the_store_is_told_soon_and_its_end_too(site: Site) -> None:
    """F4: readiness; liveness, which `until_ready` looks at too, does not change."""
    await site.until_ready(True)
    await site.own.end(signal.SIGKILL)
    await site.until_ready(False, within=3)

    await site.own.start()

    await site.until_ready(True, within=RECOVERY_S)


async def test_connections_that_are_reset_all_the_time_cost_nothing_but_time(site: Site) -> None:
    """F8."""
    async with Load.on(site) as load:
        await load.goes_on()
        connections = site.proxy.connections
        for _ in range(rounds(20)):
            await asyncio.sleep(random.uniform(0.05, 0.2))  # the fault itself
            site.proxy.reset()
        await load.goes_on()
        await until(lambda: _as_many(site, connections), within=RECOVERY_S)

    assert await site.lost() == 0


async def _as_many(site: Site, connections: int) -> bool:
    # A lease that had to be renewed meanwhile was so over a connection of its own.
    return connections <= site.proxy.connections <= connections + 1


async def test_a_bad_network_slows_everything_down_and_nothing_else(site: Site) -> None:
    """F10, with a lease of little more than ten round trips."""
    proxy = site.proxy
    async with Load.on(site, lease=timedelta(seconds=2.5)) as load:
        await load.goes_on()
        for round_trip_s in (0.005, 0.05, 0.2):
            proxy.latency_s, proxy.jitter_s = round_trip_s * 0.4, round_trip_s * 0.2
            await _for_a_while(load)
        proxy.heal()
        proxy.bytes_per_s = 1_000_000 / 8
        await _for_a_while(load)
        proxy.heal()
        proxy.split = True
        await _for_a_while(load)
        await site.until_ready(True)
        proxy.heal()

    assert not load.refusals
    assert await site.lost() == 0
    assert max(load.executed.values()) == 1


async def _for_a_while(load: Load) -> None:
    await asyncio.sleep(rounds(1))  # the fault itself
    await load.goes_on()


async def test_enqueueing_takes_one_round_trip_to_the_store(site: Site) -> None:
    @site.stack.tasks.task("work")
    async def work() -> None:
        pass

    await site.enqueue("work")
    site.proxy.latency_s = 0.1  # so a round trip takes 0.2 s
    took = list[float]()
    for _ in range(3):
        began = time.monotonic()
        await site.enqueue("work")
        took.append(time.monotonic() - began)

    assert 0.2 <= min(took) < 0.4
