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
from taskline_service.store.values import Completion, Failure, LogLine, Output
from taskline_service.task import Progress, Task, TaskState
from tests.requirements.wire import State, result_within
from tests.stack import Stack
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    NO_TIME,
    claim_one,
    claimed,
    enqueue,
    new_task,
    promote,
    reach,
)

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


LONG = b'"%s"' % (b"x" * 5000)  # longer than what is sent along with an event


async def after_progress(stack: Stack) -> None:
    claim = await claim_one(stack.store)
    await stack.store.report_progress([(claim, Progress(current=1, total=2, message="half"))])
    await stack.store.append([LogLine(claim, 1, "a line", None), Output(claim, 2, b"[1]")])
    await stack.store.complete([Completion(claim, b"[1]")])


async def completed_with(stack: Stack, result: bytes) -> None:
    await stack.store.complete([Completion(await claim_one(stack.store), result)])


async def in_the_second_attempt(stack: Stack) -> None:
    claim = await claim_one(stack.store)
    await stack.store.report_progress([(claim, Progress(current=1))])
    await stack.store.fail([Failure(claim, BROKEN, NO_TIME)])
    await promote(stack.store, 1)
    await stack.store.complete([Completion(await claim_one(stack.store), b"2")])


async def after_a_release(stack: Stack) -> None:
    await stack.store.release([await claim_one(stack.store)])
    await completed_with(stack, b"3")


async def failed_for_good(stack: Stack) -> None:
    await stack.store.fail([Failure(await claim_one(stack.store), BROKEN, None)])


async def completed_although_it_was_to_stop(stack: Stack) -> None:
    claim = await claim_one(stack.store)
    await stack.store.cancel("t")
    await stack.store.complete([Completion(claim, b"4")])


async def cancelled_while_it_ran(stack: Stack) -> None:
    claim = await claim_one(stack.store)
    await stack.store.cancel("t")
    await stack.store.release([claim])


class Looks:
    """How often the outcome of a task was read from the store."""

    def __init__(self, store: TaskStore) -> None:
        self.count = 0
        self._get_outcome = store.get_outcome
        self._looked = asyncio.Condition()

    async def get_outcome(self, task_id: str) -> tuple[Task, bytes | None]:
        found = await self._get_outcome(task_id)
        async with self._looked:
            self.count += 1
            self._looked.notify_all()
        return found

    async def until(self, count: int) -> None:
        async with self._looked:
            await self._looked.wait_for(lambda: self.count >= count)


@pytest.fixture
def looks(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Looks:
    counting = Looks(stack.store)
    monkeypatch.setattr(stack.store, "get_outcome", counting.get_outcome)
    return counting


@pytest.mark.one_partition
@pytest.mark.parametrize(
    "life",
    [
        *(after_progress, in_the_second_attempt, after_a_release, failed_for_good),
        *(completed_although_it_was_to_stop, cancelled_while_it_ran),
        pytest.param(lambda stack: completed_with(stack, b"null"), id="null"),
        pytest.param(lambda stack: completed_with(stack, LONG), id="a long result"),
    ],
)
async def test_who_waited_is_told_what_who_asks_later_is_told(
    stack: Stack, looks: Looks, life: Callable[[Stack], Awaitable[None]]
) -> None:
    await enqueue(stack.store, new_task("t", labels={"k": "v"}, queue_timeout=AN_HOUR))
    request = pb.GetResultRequest(task_id="t", wait=True)
    wait = stack.stub.GetResult(request)
    await looks.until(1)

    await life(stack)

    waited, later = await wait, await stack.stub.GetResult(request)
    for answer in (waited, later):
        answer.task.ClearField("resume_token")  # who waited may continue from earlier on
    assert waited == later


@pytest.mark.one_partition
async def test_the_end_of_a_task_answers_those_who_wait_without_a_question_to_the_store(
    stack: Stack, looks: Looks
) -> None:
    await enqueue(stack.store, "t")
    request = pb.GetResultRequest(task_id="t", wait=True)
    waits = [asyncio.ensure_future(stack.stub.GetResult(request)) for _ in range(5)]
    await looks.until(5)

    await completed_with(stack, b"1")

    assert [answer.result.json.number_value for answer in await asyncio.gather(*waits)] == [1] * 5
    assert looks.count == 5, "each looked once, before it waited"


async def test_a_server_takes_no_call_before_it_hears_of_every_end(store: TaskStore) -> None:
    nowhere = parse_redis_url("unix:///nowhere/store.sock")
    server = RpcServer(store, nowhere, TaskRegistry(), sizes=DEFAULT_SIZES)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), server.serving("127.0.0.1:0"):
            pass
