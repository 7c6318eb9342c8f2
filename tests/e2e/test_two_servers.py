"""Two servers on one store: it does not matter which of them one speaks to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import grpc.aio

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_client import TaskClient
from taskline_client.events import Ended, Snapshot
from taskline_service import TaskContext
from taskline_service.rpc import RpcServer
from tests.stack import Stack

GRACE = timedelta(seconds=1)


@asynccontextmanager
async def second_server(stack: Stack) -> AsyncIterator[tuple[RpcServer, str]]:
    async with AsyncExitStack() as exit_stack:
        server = RpcServer(stack.store, stack.redis, stack.tasks)
        port = await exit_stack.enter_async_context(server.serving("127.0.0.1:0"))
        yield server, f"127.0.0.1:{port}"


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
        # gRPC asks the first that answers, and the other once that is gone.
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
                await second.drain(GRACE)
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
            await call.initial_metadata()
            await stack.client.enqueue("quick")
            first = await call.read()
            assert isinstance(first, task_pb2.TaskEvent)
    async with stack.worker():
        request = pb.WatchRequest(filter=pb.TaskFilter(), resume_token=first.resume_token)
        rest = []
        async for event in stack.stub.Watch(request):
            rest.append(event.WhichOneof("event"))
            if event.HasField("ended"):
                break
    assert rest == ["state_changed", "ended"]
