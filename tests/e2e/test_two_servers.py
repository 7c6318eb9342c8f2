"""Two servers on one store: it does not matter which of them one speaks to."""

import asyncio
import signal
import socket
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import grpc.aio
import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_client import EnqueueOptions, TaskClient
from taskline_client._watch import follow
from taskline_client.events import Ended, LogLine, Snapshot, TaskEvent
from taskline_service import TaskContext
from taskline_service.rpc import RpcServer
from tests.stack import Stack, divided

GRACE = timedelta(seconds=1)


@asynccontextmanager
async def second_server(stack: Stack) -> AsyncIterator[tuple[RpcServer, str]]:
    async with AsyncExitStack() as exit_stack:
        server = RpcServer(stack.store, stack.redis, stack.tasks)
        port = await exit_stack.enter_async_context(server.serving("127.0.0.1:0"))
        yield server, f"127.0.0.1:{port}"


def free_address() -> str:
    """Where a server can listen."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def server_process(
    stack: Stack, redis_url: str, address: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `taskline serve` on the same store, that can be stopped like any."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("taskline"),
        *("serve", "--listen", address, "--redis-url", redis_url),
        *("--namespace", stack.store.keys.namespace, *divided(stack.store), "--log-level", "error"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout
        async with asyncio.timeout(20):
            assert address in (await process.stdout.readline()).decode()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lines_of(stack: Stack, task_id: str) -> int:
    """How many lines a task has logged."""
    story = await stack.stub.ListTaskEvents(pb.ListTaskEventsRequest(task_id=task_id))
    return sum(event.HasField("log") for event in story.events)


# A server that leaves in order, and one that is gone at once.
WAYS = [pytest.param(way, id=way.name) for way in (signal.SIGTERM, signal.SIGKILL)]


async def test_a_task_enqueued_at_one_server_is_watched_at_the_other(stack: Stack) -> None:
    @stack.tasks.task("quick")
    async def quick() -> int:
        return 1

    async with second_server(stack) as (_, address), TaskClient(address) as other:
        handle = await stack.client.enqueue("quick")
        async with stack.worker():
            events = [event async for event in other.watch(handle.id)]

    assert isinstance(events[0], Snapshot)
    assert isinstance(events[-1], Ended)


async def test_a_watch_goes_on_with_the_other_server_without_a_gap(stack: Stack) -> None:
    steps, steppable = asyncio.Queue[None](), asyncio.Event()

    @stack.tasks.task("steps", max_attempts=1)
    async def run(ctx: TaskContext) -> int:
        steppable.set()
        for _ in range(4):
            await steps.get()
            await ctx.progress.increment()
        return 4

    async with second_server(stack) as (second, address):
        both = TaskClient(f"ipv4:{address},{stack.address}")
        async with both:
            handle = await both.enqueue("steps")
            events = handle.watch()
            seen = [await anext(events)]
            async with stack.worker():
                seen.append(await anext(events))
                await steppable.wait()
                for _ in range(2):
                    steps.put_nowait(None)
                # The client asks them in turn: it is one of the two.
                watched = second if second._hubs.watched else stack.server
                await watched.drain(GRACE)
                for _ in range(2):
                    steps.put_nowait(None)
                seen += [event async for event in events]

    assert isinstance(seen[0], Snapshot)
    assert isinstance(seen[-1], Ended)
    assert sum(isinstance(event, Snapshot) for event in seen) == 1
    assert sum(isinstance(event, Ended) for event in seen) == 1
    sequences = [event.sequence for event in seen]
    assert sequences == sorted(set(sequences))


async def test_a_filter_watch_goes_on_with_a_token_of_the_other_server(stack: Stack) -> None:
    @stack.tasks.task("quick")
    async def quick() -> int:
        return 1

    async with second_server(stack) as (_, address):
        channel = grpc.aio.insecure_channel(address)
        async with channel:
            call = TaskServiceStub(channel).Watch(pb.WatchRequest(filter=pb.TaskFilter()))
            await call.read()
            await stack.client.enqueue("quick")
            first = await call.read()
            assert isinstance(first, task_pb2.TaskEvent)
            assert first.HasField("snapshot")
    async with stack.worker():
        request = pb.WatchRequest(filter=pb.TaskFilter(), resume_token=first.resume_token)
        rest = []
        async for event in stack.stub.Watch(request):
            rest.append(event.WhichOneof("event"))
            if event.HasField("ended"):
                break
    assert rest == ["state_changed", "ended"]


@pytest.mark.parametrize("way", WAYS)
async def test_the_client_watches_on_when_the_process_it_watches_with_is_gone(
    stack: Stack, redis_url: str, way: signal.Signals
) -> None:
    lines, running = asyncio.Queue[int](), asyncio.Event()

    @stack.tasks.task("talks", max_attempts=1)
    async def talks(ctx: TaskContext) -> str:
        running.set()
        while line := await lines.get():
            await ctx.log(f"line {line}")
        return "done"

    addresses = free_address(), free_address()
    async with (
        server_process(stack, redis_url, addresses[0]) as first,
        AsyncExitStack() as later,
        TaskClient(f"ipv4:{addresses[0]},{addresses[1]}") as client,
        stack.worker(),
    ):
        handle = await stack.client.enqueue("talks")
        await running.wait()
        seen = list[TaskEvent]()
        async with aclosing(client.watch(handle.id)) as events:
            seen.append(await anext(events))
            for line in (1, 2, 3):
                lines.put_nowait(line)
                seen.append(await anext(events))
            # Only now, so that it is the first that is watched with.
            await later.enter_async_context(server_process(stack, redis_url, addresses[1]))
            first.send_signal(way)
            await first.wait()
            for line in (4, 5, 6):  # said while nobody listens
                lines.put_nowait(line)
            async with asyncio.timeout(20):
                while await lines_of(stack, handle.id) < 6:
                    pass
            for line in (7, 8, 0):
                lines.put_nowait(line)
            seen += [event async for event in events]

    said = [event.message for event in seen if isinstance(event, LogLine)]
    assert said == [f"line {line}" for line in range(1, 9)]
    assert [type(event) for event in seen if not isinstance(event, LogLine)] == [Snapshot, Ended]
    assert isinstance(seen[0], Snapshot)
    assert not seen[0].gap
    assert isinstance(seen[-1], Ended)


@pytest.mark.parametrize("way", WAYS)
async def test_a_filter_watch_misses_and_repeats_nothing_when_its_process_is_gone(
    stack: Stack, redis_url: str, way: signal.Signals
) -> None:
    @stack.tasks.task("quick")
    async def quick() -> int:
        return 1

    by_task = defaultdict[str, list[task_pb2.TaskEvent]](list)

    async def read(stub: TaskServiceStub, token: str, *, ends: int) -> str:
        """Take note of events until so many tasks have ended; where it came to."""
        call = stub.Watch(pb.WatchRequest(filter=pb.TaskFilter(), resume_token=token))
        await call.initial_metadata()
        begun.set()
        async for event in call:
            if event.task_id:
                by_task[event.task_id].append(event)
                token = event.resume_token
            if sum(events[-1].HasField("ended") for events in by_task.values()) == ends:
                call.cancel()
                break
        return token

    begun, addresses = asyncio.Event(), (free_address(), free_address())
    async with (
        server_process(stack, redis_url, addresses[0]) as first,
        server_process(stack, redis_url, addresses[1]),
        grpc.aio.insecure_channel(addresses[0]) as first_channel,
        grpc.aio.insecure_channel(addresses[1]) as other_channel,
    ):
        reading = asyncio.create_task(read(TaskServiceStub(first_channel), "", ends=10))
        await begun.wait()
        ids = [(await stack.client.enqueue("quick")).id for _ in range(40)]
        async with stack.worker():
            token = await reading
            first.send_signal(way)
            await first.wait()
            await read(TaskServiceStub(other_channel), token, ends=40)

    assert sorted(by_task) == sorted(ids)
    for events in by_task.values():
        kinds = [event.WhichOneof("event") for event in events]
        assert len(kinds) == len(set(kinds))
        assert (kinds[0], kinds[-1]) == ("snapshot", "ended")
        # Nothing is missing in between. The end of a task that had ended has its sequence.
        sequences = [event.sequence for event in events]
        assert all(later - one <= 1 for one, later in pairwise(sequences))


@pytest.mark.parametrize("way", WAYS)
async def test_a_watch_that_has_told_nothing_yet_misses_nothing_when_its_process_is_gone(
    stack: Stack, redis_url: str, way: signal.Signals
) -> None:
    stack.tasks.task("quick")(lambda: 1)
    addresses, queue = (free_address(), free_address()), EnqueueOptions(queue="mail")
    async with (
        server_process(stack, redis_url, addresses[0]) as first,
        AsyncExitStack() as later,
        TaskClient(f"ipv4:{addresses[0]},{addresses[1]}") as client,
        aclosing(
            follow(client._connection, pb.WatchRequest(filter=pb.TaskFilter(queues=["mail"])))
        ) as events,
    ):
        async with asyncio.timeout(10):
            stands = await anext(events)
        # Only now, so that it is the first that is watched with.
        await later.enter_async_context(server_process(stack, redis_url, addresses[1]))
        first.send_signal(way)
        await first.wait()
        handle = await stack.client.enqueue("quick", options=queue)
        async with asyncio.timeout(20):
            while not (event := await anext(events)).task_id:
                pass

    assert stands.HasField("heartbeat")
    assert (event.task_id, event.WhichOneof("event")) == (handle.id, "snapshot")
