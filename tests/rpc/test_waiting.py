"""Whoever waits for a task or watches it is told of its end, however it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import grpc.aio
import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskRegistry
from taskline_service.limits import DEFAULT_SIZES
from taskline_service.rpc import RpcServer
from taskline_service.store import TaskStore, parse_redis_url
from taskline_service.task import TaskState
from tests.requirements.wire import State, result_within
from tests.stack import Stack
from tests.store.making import NO_TIME, claimed, enqueue, new_task, reach

# Makes a task "t" that has not ended; returns what ends it.
Way = Callable[[TaskStore], Awaitable[Callable[[], Awaitable[object]]]]

CANCELLED, FAILED = State.STATE_CANCELLED, State.STATE_FAILED


def cancelled(state: TaskState) -> Way:
    async def prepare(store: TaskStore) -> Callable[[], Awaitable[object]]:
        if state is not TaskState.RUNNING:
            await reach(store, state, "t")
            return lambda: store.cancel("t")
        claim = await claimed(store, "t")

        async def cancel_and_stop() -> None:
            await store.cancel("t")
            await store.release([claim])

        return cancel_and_stop

    return prepare


async def left_waiting(store: TaskStore) -> Callable[[], Awaitable[object]]:
    await enqueue(store, new_task("t", queue_timeout=timedelta(milliseconds=300)))
    return _by_itself


async def without_worker(store: TaskStore) -> Callable[[], Awaitable[object]]:
    """The last of its workers vanishes while it holds the task."""
    strict = TaskStore(store.redis, store.keys, max_lost=1)
    claim = await claimed(store, "t")

    async def lose() -> None:
        await store.renew([claim], lease=NO_TIME)
        await strict.reclaim(retry_delay=NO_TIME)

    return lose


async def _by_itself() -> None:
    pass


@pytest.mark.one_partition
@pytest.mark.parametrize(
    ("way", "end"),
    [
        pytest.param(cancelled(TaskState.SCHEDULED), CANCELLED, id="cancelled while SCHEDULED"),
        pytest.param(cancelled(TaskState.QUEUED), CANCELLED, id="cancelled while QUEUED"),
        pytest.param(cancelled(TaskState.RUNNING), CANCELLED, id="cancelled while RUNNING"),
        pytest.param(cancelled(TaskState.RETRYING), CANCELLED, id="cancelled while RETRYING"),
        pytest.param(left_waiting, FAILED, id="its queue timeout is over"),
        pytest.param(without_worker, FAILED, id="its workers were lost too often"),
    ],
)
async def test_every_end_of_a_task_ends_each_wait_and_each_watch(
    stack: Stack, way: Way, end: State.ValueType
) -> None:
    make_it_end = await way(stack.store)
    waiting = asyncio.create_task(result_within(stack, "t", timedelta(seconds=30)))
    watch = stack.stub.Watch(pb.WatchRequest(task_ids=["t"]))
    by_filter = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter()))
    await watch.read()
    await by_filter.initial_metadata()

    await make_it_end()

    async with asyncio.timeout(5):  # before anybody looks by himself, in case he missed it
        answer = await waiting
        ends = [await end_of(watch), await end_of(by_filter)]
        assert await watch.read() is grpc.aio.EOF
    by_filter.cancel()
    assert answer.task.state == end
    assert not answer.wait_timed_out
    assert answer.HasField("error")
    assert ends == [end, end]


async def end_of(
    watch: "grpc.aio.UnaryStreamCall[pb.WatchRequest, task_pb2.TaskEvent]",
) -> State.ValueType:
    """The state that a watch tells as the last."""
    while isinstance(event := await watch.read(), task_pb2.TaskEvent):
        if event.HasField("ended"):
            return event.ended.state
    raise AssertionError("it ended without saying how the task did")


async def test_a_server_takes_no_call_before_it_hears_of_every_end(store: TaskStore) -> None:
    nowhere = parse_redis_url("unix:///nowhere/store.sock")
    server = RpcServer(store, nowhere, TaskRegistry(), sizes=DEFAULT_SIZES)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), server.serving("127.0.0.1:0"):
            pass
