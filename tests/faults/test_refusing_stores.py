"""A store that answers, and does not do what it is asked: what callers are told, and that
everything goes on by itself when the store does.
"""

import asyncio
import contextlib
import json
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc.aio
import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_service import TaskContext
from taskline_service.rpc import RpcServer
from taskline_service.store import Directory, Redis
from taskline_service.store.connection import Connection
from tests.census import all_keys
from tests.faults.own_store import OwnStore
from tests.faults.site import FULL, RECOVERY_S, UNAVAILABLE, Refusal, Site, rounds, until
from tests.requirements.shell import taskline

LEASE = timedelta(seconds=1)


@asynccontextmanager
async def a_replica(own: OwnStore) -> AsyncIterator[None]:
    """READONLY: it has become the replica of a server that is not there."""
    await own.call(b"REPLICAOF", b"127.0.0.1", b"1")
    yield
    await own.call(b"REPLICAOF", b"NO", b"ONE")


@asynccontextmanager
async def a_replica_without_data(own: OwnStore) -> AsyncIterator[None]:
    """MASTERDOWN: the same, and it gives out nothing that may be old."""
    await own.call(b"CONFIG", b"SET", b"replica-serve-stale-data", b"no")
    async with a_replica(own):
        yield


@asynccontextmanager
async def without_replicas(own: OwnStore) -> AsyncIterator[None]:
    """NOREPLICAS: it may not write what no replica has."""
    await own.call(b"CONFIG", b"SET", b"min-replicas-to-write", b"1")
    yield
    await own.call(b"CONFIG", b"SET", b"min-replicas-to-write", b"0")


@asynccontextmanager
async def a_full_disk(own: OwnStore) -> AsyncIterator[None]:
    """MISCONF: its append-only file cannot grow."""
    own.disk_full()
    with contextlib.suppress(Exception):  # it learns of it as it writes
        await own.call(b"SET", b"filler", b"x" * 1000)
    await until(lambda: _refuses(own, b"MISCONF"), within=5)
    yield
    own.disk_full(False)


@asynccontextmanager
async def full_memory(own: OwnStore) -> AsyncIterator[None]:
    """OOM: it takes nothing that needs more of it."""
    await own.fill_memory()
    yield
    await own.free_memory()


@asynccontextmanager
async def a_busy_script(own: OwnStore) -> AsyncIterator[None]:
    """BUSY: a script of somebody else does not end."""
    await own.call(b"CONFIG", b"SET", b"lua-time-limit", b"20")
    other = await Connection.open(own.address, name="other", reply_timeout=60)
    endless = other.send(b"EVAL", b"while true do end", b"0")
    await until(lambda: _refuses(own, b"BUSY"), within=5)
    yield
    await own.call(b"SCRIPT", b"KILL")
    await asyncio.wait([endless])
    endless.exception()
    other.abort()


async def _refuses(own: OwnStore, word: bytes) -> bool:
    try:
        await own.call(b"DEL", b"filler")
    except Exception as error:  # whatever it refuses with
        return word.decode() in str(error)
    return False


Trouble = Callable[[OwnStore], AbstractAsyncContextManager[None]]
TROUBLES = [a_replica, a_replica_without_data, without_replicas, a_full_disk, a_busy_script]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
async def test_while_it_lasts_calls_are_refused_and_then_everything_goes_on(
    site: Site, trouble: Trouble
) -> None:
    """F14, F24 and their like: tasks run longer than their lease through all of it."""
    go_on = asyncio.Event()

    @site.stack.tasks.task("work")
    async def work(ctx: TaskContext) -> int:
        await ctx.log("begun")
        if ctx.attempt == 1:
            await go_on.wait()
        return ctx.attempt

    async with site.stack.worker(lease=LEASE):
        await site.enqueue("work", "begun")
        await site.stack.until("begun", lambda task: task.state == task_pb2.Task.STATE_RUNNING)
        for _ in range(rounds(1)):
            async with trouble(site.own):
                longer_than_a_lease = asyncio.create_task(asyncio.sleep(1.2))
                refusals = [await site.refusal("work", timeout=2) for _ in range(3)]
                await site.until_ready(False)
                await longer_than_a_lease
            await site.until_ready(True)
            later = await site.until_accepted("work")
            assert refusals == [UNAVAILABLE] * 3
        go_on.set()
        assert (await site.ended("begun")).task.state == task_pb2.Task.STATE_COMPLETED
        await site.ended(later.id)

    assert await site.lost() == 0


@pytest.mark.parametrize(
    "trouble", [full_memory, a_full_disk, a_replica], ids=lambda trouble: trouble.__name__
)
async def test_a_server_with_tasks_of_its_own_starts_while_nothing_new_is_taken(
    site: Site, trouble: Trouble
) -> None:
    """Task types are published later; until then there is much that it can do."""

    @site.stack.tasks.task("work")
    async def work() -> str:
        return "done"

    await site.enqueue("work", "before")
    await site.until_ready(True)
    async with AsyncExitStack() as exits:
        async with trouble(site.own):
            server = RpcServer(site.direct, site.own.address, site.stack.tasks)
            async with asyncio.timeout(5):
                port = await exits.enter_async_context(server.serving("127.0.0.1:0"))
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
            stub = TaskServiceStub(await exits.enter_async_context(channel))
            known = await stub.GetTask(pb.GetTaskRequest(task_id="before"))
            types = await Directory(site.direct.redis, site.direct.keys).types()
        await until(lambda: _is_published(site, "work"), within=2 * RECOVERY_S)

    assert known.task.state == task_pb2.Task.STATE_QUEUED
    assert types == {}


async def _is_published(site: Site, task_type: str) -> bool:
    return task_type in await Directory(site.direct.redis, site.direct.keys).types()


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (full_memory, "out of memory"),
        (a_full_disk, "MISCONF"),
        (a_replica, "READONLY"),
        (without_replicas, "NOREPLICAS"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_doctor_tells_that_the_store_takes_no_new_tasks_and_why(
    site: Site, trouble: Trouble, why: str
) -> None:
    async with trouble(site.own):
        before = await all_keys(site.direct.redis, site.direct.keys)
        ill = await taskline(site.stack.address, "doctor", "-o", "json")
        after = await all_keys(site.direct.redis, site.direct.keys)
    await site.until_ready(True)
    well = await taskline(site.stack.address, "doctor", "-o", "json")

    (told,) = (check for check in json.loads(ill.out)["checks"] if check["check"] == "store_writes")
    assert (told["level"], ill.code) == ("failed", 1)
    assert why in told["found"] and told["fix"]
    assert after == before
    levels = {check["check"]: check["level"] for check in json.loads(well.out)["checks"]}
    assert levels["store_writes"] == "ok"


async def test_a_store_that_loads_its_data_refuses_calls_and_then_everything_goes_on() -> None:
    async with Site.running(appendonly="no", rdbcompression="no") as site:

        @site.stack.tasks.task("work")
        async def work() -> str:
            return "done"

        # Of 20 MB, so that it answers while it loads them.
        fill = b"for i = 1, 2500 do redis.call('SET', 'filler' .. i, string.rep('x', 8192)) end"
        await site.own.call(b"EVAL", fill, b"0")
        await site.own.call(b"SAVE")
        await site.own.end(signal.SIGKILL)
        await site.own.start_slowly(appendonly="no")

        refusals = [await site.refusal("work", timeout=2) for _ in range(3)]

        await site.until_ready(False)
        await until(lambda: _loaded(site.own), within=20)
        await site.until_ready(True)
        task = await site.until_accepted("work")
        async with site.stack.worker():
            await site.ended(task.id)
    assert refusals == [UNAVAILABLE] * 3


async def _loaded(own: OwnStore) -> bool:
    info = await own.call(b"INFO", b"persistence")
    assert isinstance(info, bytes)
    return b"loading:0" in info


async def test_a_store_without_memory_refuses_new_tasks_whole_and_lets_running_ones_go_on(
    site: Site,
) -> None:
    """F13, for longer than a lease."""
    lease = timedelta(seconds=2)
    full, go_on = asyncio.Event(), asyncio.Event()

    @site.stack.tasks.task("work")
    async def work(ctx: TaskContext) -> str:
        await ctx.progress.set_total(10)
        await full.wait()
        await ctx.progress.increment()
        await ctx.log("still here")
        await go_on.wait()
        return "done"

    async with site.stack.worker(lease=lease):
        await site.enqueue("work", "begun")
        await site.stack.until("begun", lambda task: task.progress.total == 10)
        await until(lambda: _a_worker_is_known(site), within=20)
        await site.own.fill_memory()
        before = await all_keys(site.direct.redis, site.direct.keys)

        refusals = [await site.refusal("work", timeout=2) for _ in range(5)]
        batch = pb.BatchEnqueueRequest(
            requests=[pb.EnqueueRequest(task_type="work") for _ in range(250)]
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await site.stack.stub.BatchEnqueue(batch)

        after = await all_keys(site.direct.redis, site.direct.keys)
        full.set()
        await site.stack.until("begun", lambda task: task.progress.current == 1)
        await asyncio.sleep(1.5 * lease.total_seconds())  # the fault itself
        go_on.set()
        ended = await site.ended("begun")
        await site.own.free_memory()
        await site.enqueue("work", "after")
        await site.ended("after")

    assert refusals == [FULL] * 5
    assert Refusal.of(refused.value) == FULL
    assert before == after
    assert (ended.task.state, ended.task.attempts) == (task_pb2.Task.STATE_COMPLETED, 1)
    assert await site.lost() == 0


async def _a_worker_is_known(site: Site) -> bool:
    return bool(await Directory(site.direct.redis, site.direct.keys).workers(count=1))


async def test_scripts_that_are_flushed_all_the_time_are_not_noticed(site: Site) -> None:
    """F14."""

    @site.stack.tasks.task("work")
    async def work() -> None:
        pass

    async def flush() -> None:
        while True:
            await site.own.call(b"SCRIPT", b"FLUSH")
            await asyncio.sleep(0.1)

    flushing = asyncio.create_task(flush())
    accepted, ends = list[str](), time.monotonic() + rounds(1)
    async with site.stack.worker():
        while time.monotonic() < ends:
            tasks = await asyncio.gather(*(site.enqueue("work") for _ in range(20)))
            accepted += [task.id for task in tasks]
        states = {(await site.ended(task_id)).task.state for task_id in accepted}
    flushing.cancel()

    assert states == {task_pb2.Task.STATE_COMPLETED}


async def test_after_a_failover_the_new_server_is_used_although_the_old_one_still_answers(
    site: Site,
) -> None:
    """READONLY: the address leads elsewhere, and only new connections go there."""
    with tempfile.TemporaryDirectory(prefix="taskline-test-") as folder:
        successor = OwnStore(Path(folder))
        await successor.start()
        site.proxy.upstream = successor.address
        async with a_replica(site.own):
            site.stack.tasks.task("work")(_nothing)
            await site.until_accepted("work", within=RECOVERY_S)
            await site.until_ready(True)
        async with contextlib.AsyncExitStack() as exits:
            redis = await exits.enter_async_context(Redis(successor.address))
            there = await all_keys(redis, site.direct.keys)
        await successor.end()
    assert any(key.startswith("t:") for key in there)


async def _nothing() -> None:
    pass
