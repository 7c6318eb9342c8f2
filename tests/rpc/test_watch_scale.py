"""Watch at scale: what many watchers, slow watchers and many tasks cost."""

import asyncio
import contextlib
import json
import os
import random
from datetime import timedelta

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_service import TaskContext
from taskline_service.store.values import Completion
from taskline_service.task import Claim, Task
from tests.rpc.test_watch import running_hub, stream_of, told
from tests.stack import Stack
from tests.store.making import AN_HOUR, claim_all, enqueue, new_task

# The whole number of the stress takes a minute or two: TASKLINE_STRESS_TASKS=10000.
STRESS_TASKS = int(os.environ.get("TASKLINE_STRESS_TASKS", "1000"))
STRESS_WAITS = STRESS_TASKS // 2
# Server, clients and ends share one process here, which has to keep pace on a busy machine.
ENDS_PER_S = 250
PER_CHANNEL = 250


def a_connection(stack: Stack) -> grpc.aio.Channel:
    """A channel that shares its connection with no other."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    return grpc.aio.insecure_channel(stack.address, options=options)


async def subscriptions(stack: Stack) -> int:
    """Connections of servers that listen for events, by the store's own count."""
    (channel, count) = await stack.store.redis.call(
        b"PUBSUB", b"NUMSUB", stack.store.keys.events_channel
    )
    assert channel == stack.store.keys.events_channel
    return int(count)


async def connections(stack: Stack) -> int:
    return len((await stack.store.redis.call(b"CLIENT", b"LIST")).splitlines())


async def test_f12_5_however_many_watch_there_is_one_subscription(stack: Stack) -> None:
    await enqueue(stack.store, *(new_task(f"t-{i}", delay=AN_HOUR) for i in range(200)))
    before, listening = await connections(stack), await subscriptions(stack)
    calls = [stack.stub.Watch(pb.WatchRequest(task_ids=[f"t-{i}"])) for i in range(200)]
    calls += [stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter())) for _ in range(20)]
    waits = [
        stack.stub.GetResult(pb.GetResultRequest(task_id="t-0", timeout=Duration(seconds=30)))
        for _ in range(200)
    ]
    for call in calls[:200]:
        await call.read()
    for call in calls[200:]:
        await call.initial_metadata()

    assert listening == await subscriptions(stack) == 1
    # The pool of ordinary connections may have grown, to its fixed size.
    assert await connections(stack) - before < 10
    for opened in [*calls, *waits]:
        opened.cancel()


async def test_however_many_wait_for_a_result_they_cost_one_subscription(stack: Stack) -> None:
    await enqueue(stack.store, new_task("t", delay=AN_HOUR))
    request = pb.GetResultRequest(task_id="t", timeout=Duration(seconds=60))
    async with contextlib.AsyncExitStack() as exit_stack:
        waits = list[grpc.aio.UnaryUnaryCall[pb.GetResultRequest, pb.GetResultResponse]]()
        for _ in range(0, STRESS_WAITS, PER_CHANNEL):
            channel = await exit_stack.enter_async_context(a_connection(stack))
            stub = TaskServiceStub(channel)
            waits += [stub.GetResult(request) for _ in range(PER_CHANNEL)]
        # Each has its mailbox, and none has an answer.
        async with asyncio.timeout(30):
            while len(stack.server._hubs.of("t")._mailboxes.get(b"t", ())) < STRESS_WAITS:
                await stack.stub.GetTask(pb.GetTaskRequest(task_id="t"))
        assert await subscriptions(stack) == 1
        answered = sum(wait.done() for wait in waits)

        await stack.store.cancel("t")
        answers = await asyncio.gather(*waits)

    assert answered == 0
    assert {answer.task.state for answer in answers} == {task_pb2.Task.STATE_CANCELLED}


@pytest.mark.parametrize("form", [task_pb2.PAYLOAD_FORMAT_JSON, task_pb2.PAYLOAD_FORMAT_JSON_BYTES])
async def test_a_long_result_is_read_once_for_all_who_watch(
    stack: Stack, form: task_pb2.PayloadFormat.ValueType
) -> None:
    await enqueue(stack.store, new_task("t"))
    (claim,) = await claim_all(stack.store)
    result = json.dumps([1] * 50_000).encode()
    read, reads = stack.store.get_outcome, 0

    async def counted(task_id: str) -> tuple[Task, bytes | None]:
        nonlocal reads
        reads += 1
        return await read(task_id)

    calls = [
        stack.stub.Watch(pb.WatchRequest(task_ids=["t"], payload_format=form)) for _ in range(50)
    ]
    for call in calls:
        await call.read()
    stack.store.get_outcome = counted  # type: ignore[method-assign]
    await stack.store.complete([Completion(claim, result)])
    ends = [event for call in calls if isinstance(event := await call.read(), task_pb2.TaskEvent)]

    assert reads == 1
    assert len(ends) == 50
    (payload,) = {end.ended.result.SerializeToString() for end in ends}
    assert len(payload) >= len(result)


async def test_who_leaves_while_a_long_result_is_read_takes_it_from_nobody(stack: Stack) -> None:
    await enqueue(stack.store, new_task("t"))
    (claim,) = await claim_all(stack.store)
    read, reading, go_on = stack.store.get_outcome, asyncio.Event(), asyncio.Event()

    async def slow(task_id: str) -> tuple[Task, bytes | None]:
        reading.set()
        await go_on.wait()
        return await read(task_id)

    leaving = stack.stub.Watch(pb.WatchRequest(task_ids=["t"]))
    await leaving.read()
    staying = stack.stub.Watch(pb.WatchRequest(task_ids=["t"]))
    await staying.read()
    stack.store.get_outcome = slow  # type: ignore[method-assign]
    await stack.store.complete([Completion(claim, b'"%s"' % (b"x" * 100_000))])
    await reading.wait()
    leaving.cancel()
    async with asyncio.timeout(10):
        while stack.server._tasks._watches.taken > 1:
            await stack.stub.GetTask(pb.GetTaskRequest(task_id="t"))
    go_on.set()
    end = await staying.read()

    assert isinstance(end, task_pb2.TaskEvent)
    assert len(end.ended.result.json.string_value) == 100_000


async def test_a_reader_that_never_reads_costs_little_and_no_other_watcher_anything(
    stack: Stack,
) -> None:
    contexts, go = dict[str, TaskContext](), asyncio.Event()

    @stack.tasks.task("talks")
    async def talks(ctx: TaskContext) -> str:
        contexts[ctx.task_id] = ctx
        await go.wait()
        return "done"

    async with stack.worker(), grpc.aio.insecure_channel(stack.address) as channel:
        await enqueue(stack.store, new_task("a", task_type="talks"))
        await stack.until("a", lambda task: task.state == task_pb2.Task.STATE_RUNNING)
        request = pb.WatchRequest(task_ids=["a"])
        request.min_progress_interval.FromTimedelta(timedelta(milliseconds=20))
        stalled = TaskServiceStub(channel).Watch(request)
        await stalled.read()  # and never again
        async with running_hub(stack) as hub:
            stream = stream_of(stack, hub, ["a"])
            async with contextlib.aclosing(stream.events()) as unread:
                await anext(unread)
                reader = stack.stub.Watch(request)
                await reader.read()
                for i in range(200):
                    await contexts["a"].progress.set_current(i + 1)
                    if i % 20 == 0:
                        await stack.until("a", lambda task, i=i: task.progress.current > i)  # type: ignore[misc]
                go.set()
                last = task_pb2.TaskEvent()
                while isinstance(event := await reader.read(), task_pb2.TaskEvent):
                    last = event
                (mailbox,) = hub._mailboxes[b"a"]
                # Of all the progress one is left, beside the end.
                waiting = len(mailbox._events)
        stalled.cancel()

    assert last.HasField("ended")
    assert waiting <= 2


async def test_ft4_whoever_waits_or_watches_learns_of_an_end_within_a_second(stack: Stack) -> None:
    rng, loop = random.Random(5), asyncio.get_running_loop()
    ids = [f"t-{i}" for i in range(STRESS_TASKS)]
    ended_at, late = dict[str, float](), list[float]()
    moments = {task_id: rng.random() for task_id in ids}
    await enqueue(stack.store, *(new_task(task_id) for task_id in ids))
    claims = dict[str, Claim]()
    while batch := await claim_all(stack.store):
        claims |= {claim.task_id: claim for claim in batch}
    span = STRESS_TASKS / ENDS_PER_S

    async def end(task_id: str) -> None:
        await asyncio.sleep(moments[task_id] * span)
        await stack.store.complete([Completion(claims[task_id], b"1")])
        ended_at[task_id] = loop.time()

    async def follow(stub: TaskServiceStub, task_id: str) -> None:
        # Around the end: some before it, some after, many at about the same time.
        await asyncio.sleep(max(moments[task_id] * span + rng.uniform(-0.05, 0.02), 0))
        if rng.random() < 0.5:
            request = pb.GetResultRequest(task_id=task_id, timeout=Duration(seconds=30))
            assert (await stub.GetResult(request)).HasField("result")
        else:
            events = [e async for e in stub.Watch(pb.WatchRequest(task_ids=[task_id]))]
            assert [e.HasField("ended") for e in events].count(True) == 1
            assert events[-1].HasField("ended")
        late.append(loop.time() - max(ended_at.get(task_id, 0), began[task_id]))

    began = {task_id: loop.time() for task_id in ids}
    async with contextlib.AsyncExitStack() as exit_stack:
        stubs = list[TaskServiceStub]()
        for _ in range(0, STRESS_TASKS, PER_CHANNEL):
            channel = grpc.aio.insecure_channel(stack.address)
            stubs.append(TaskServiceStub(await exit_stack.enter_async_context(channel)))
        start = loop.time()
        began = {
            task_id: start + max(moment * span - 0.05, 0) for task_id, moment in moments.items()
        }
        async with asyncio.TaskGroup() as group:
            for i, task_id in enumerate(ids):
                group.create_task(end(task_id))
                group.create_task(follow(stubs[i % len(stubs)], task_id))

    assert len(late) == STRESS_TASKS
    assert max(late) < 1.0, sorted(late)[-10:]


@pytest.mark.one_partition
@pytest.mark.parametrize("cut", [50, 150, 299])
async def test_many_tasks_that_change_while_they_are_introduced_are_told_once(
    stack: Stack, cut: int
) -> None:
    ids = sorted(f"t-{i:03}" for i in range(300))
    await enqueue(stack.store, *(new_task(task_id, delay=AN_HOUR) for task_id in ids))
    read, changed = stack.store.get_many, 0

    async def changing(task_ids: list[str], *, full: bool = False) -> list[object]:
        """As if others changed tasks between the steps in which these are read."""
        nonlocal changed
        tasks = list[object]()
        for first in range(0, len(task_ids), 100):
            tasks += await read(task_ids[first : first + 100], full=full)
            for task_id in ids[changed : changed + 3] + ids[-3 - changed : len(ids) - changed]:
                await stack.store.cancel(task_id)
            changed += 3
        return tasks

    async with running_hub(stack) as hub:
        stack.store.get_many = changing  # type: ignore[method-assign, assignment]
        stream = stream_of(stack, hub, ids)
        async with contextlib.aclosing(stream.events()) as events:
            seen = [await anext(events) for _ in range(cut)]
        stack.store.get_many = read  # type: ignore[method-assign]
        stream = stream_of(stack, hub, ids)
        for task_id in ids:
            await stack.store.cancel(task_id)
        async with contextlib.aclosing(stream.events(resume_token=seen[-1].resume_token)) as rest:
            seen += [event async for event in rest]

    told_once = told(seen)
    assert len(told_once) == len(set(told_once))
    for kind in ("snapshot", "ended"):
        assert sorted(task_id for task_id, what, _ in told_once if what == kind) == ids
    assert not any(event.snapshot.gap for event in seen)
