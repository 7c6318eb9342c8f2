"""Watches over several partitions: each task's story in order and once, wherever it breaks off."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext
from taskline_service.store.values import Completion
from tests.partitions.conftest import PARTITIONS
from tests.rpc.test_watch import told, watched
from tests.rpc.test_watch_filter import until_ends, watching
from tests.stack import Stack
from tests.store.making import AN_HOUR, claim_all, enqueue, new_task

Events = list[task_pb2.TaskEvent]
IDS = [f"w-{number}" for number in range(8)]


def by_task(events: Sequence[task_pb2.TaskEvent]) -> dict[str, list[tuple[str, int]]]:
    """What was told of each task, but for progress."""
    stories = defaultdict[str, list[tuple[str, int]]](list)
    for task_id, kind, sequence in told(list(events)):
        stories[task_id].append((kind, sequence))
    return dict(stories)


@contextlib.asynccontextmanager
async def at_work(stack: Stack) -> AsyncIterator[None]:
    """A worker for tasks that log a line, and some of which fail once."""

    @stack.tasks.task("step", max_attempts=2)
    async def step(ctx: TaskContext) -> str:
        await ctx.progress.increment()
        await ctx.log("a line")
        if ctx.task_id == IDS[0] and ctx.attempt == 1:
            raise ValueError("once more")
        return "x" * (10_000 if ctx.task_id == IDS[1] else 1)

    async with stack.worker(concurrency=3):
        yield


async def make(stack: Stack, *, delay_ms: int) -> None:
    for task_id in IDS:
        request = pb.EnqueueRequest(task_type="step", task_id=task_id)
        request.retry_policy.initial_backoff.FromMilliseconds(10)
        request.delay.FromMilliseconds(delay_ms)
        await stack.stub.Enqueue(request)


async def test_tasks_are_followed_to_their_ends_from_wherever_it_breaks_off(stack: Stack) -> None:
    async with at_work(stack):
        await make(stack, delay_ms=150)
        whole = await watched(stack, IDS)
        rests = [await watched(stack, IDS, resume_token=event.resume_token) for event in whole]

    story = by_task(whole)
    assert story.keys() == set(IDS)
    assert [story[task_id][0][0] for task_id in IDS] == ["snapshot"] * len(IDS)
    assert [story[task_id][-1][0] for task_id in IDS] == ["ended"] * len(IDS)
    introduced = max(i for i, event in enumerate(whole) if event.HasField("snapshot"))
    for i, rest in enumerate(rests):
        before, after = by_task(whole[: i + 1]), by_task(rest)
        for task_id in IDS:
            if i >= introduced:
                assert before.get(task_id, []) + after.get(task_id, []) == story[task_id], i
            elif task_id not in before:  # introduced as it is by then
                kinds = [kind for kind, _ in after[task_id]]
                assert kinds.count("snapshot") == kinds.count("ended") == 1, i
        assert not any(event.snapshot.gap for event in rest)


async def test_a_filter_is_followed_from_wherever_it_breaks_off(stack: Stack) -> None:
    async with at_work(stack), watching(stack, task_types=["step"]) as call:
        await make(stack, delay_ms=50)
        whole = await until_ends(call, len(IDS))
        rests = list[Events]()
        for i, event in enumerate(whole[:-1]):
            left = len(IDS) - sum(e.HasField("ended") for e in whole[: i + 1])
            token = event.resume_token
            async with watching(stack, task_types=["step"], resume_token=token) as again:
                rests.append(await until_ends(again, left))

    story = by_task(whole)
    assert story.keys() == set(IDS)
    introduced = max(i for i, event in enumerate(whole) if event.HasField("snapshot"))
    for i, rest in enumerate(rests):
        if i >= introduced:
            before, after = by_task(whole[: i + 1]), by_task(rest)
            for task_id in IDS:
                assert before.get(task_id, []) + after.get(task_id, []) == story[task_id], i


async def test_a_list_is_followed_from_where_it_was_read(stack: Stack) -> None:
    await enqueue(stack.store, *(new_task(task_id, delay=AN_HOUR) for task_id in IDS))
    page = await stack.stub.ListTasks(pb.ListTasksRequest())
    for task_id in IDS:
        await stack.store.cancel(task_id)

    async with watching(stack, resume_token=page.resume_token) as call:
        events = await until_ends(call, len(IDS))

    assert page.total_size == len(IDS)
    assert by_task(events) == {task_id: [("ended", 2)] for task_id in IDS}


async def test_a_token_is_refused_where_the_log_of_one_partition_does_not_reach(
    stack: Stack,
) -> None:
    page = await stack.stub.ListTasks(pb.ListTasksRequest())
    await enqueue(stack.store, *IDS)
    cut = stack.store.partitions[1]
    await cut.redis.call(b"XTRIM", cut.keys.log, b"MAXLEN", b"0")

    call = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter(), resume_token=page.resume_token))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in call:  # the other partitions may be ahead
            pass

    assert refused.value.code() is grpc.StatusCode.OUT_OF_RANGE


@pytest.mark.parametrize("parts", [1, PARTITIONS - 1, PARTITIONS + 1])
async def test_a_token_of_other_partitions_is_refused(stack: Stack, parts: int) -> None:
    page = await stack.stub.ListTasks(pb.ListTasksRequest())
    token = ".".join((page.resume_token.split(".") * 2)[:parts])

    call = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter(), resume_token=token))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_watch_of_an_absent_task_tells_of_no_other(stack: Stack) -> None:
    await enqueue(stack.store, *IDS)

    call = stack.stub.Watch(pb.WatchRequest(task_ids=[*IDS, "absent"]))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_silence_is_told_once_however_many_partitions_are_silent(stack: Stack) -> None:
    await enqueue(stack.store, *IDS)
    beats = Duration(seconds=1)
    calls: list[Any] = [
        stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter(), heartbeat_interval=beats)),
        stack.stub.Watch(pb.WatchRequest(task_ids=IDS, heartbeat_interval=beats)),
    ]

    async def beats_of(call: Any) -> list[str]:
        kinds = list[str]()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.5):
                while True:
                    kinds.append((await call.read()).WhichOneof("event"))
        call.cancel()
        return kinds

    of_filter, of_tasks = await asyncio.gather(*map(beats_of, calls))

    assert of_filter == ["heartbeat"] * 3, "it begins with one"
    assert of_tasks == ["snapshot"] * len(IDS) + ["heartbeat"] * 2


async def test_a_quiet_watch_keeps_its_place_in_every_partition(stack: Stack) -> None:
    """What a heartbeat is sent with leads on, long after the log has forgotten its beginning."""
    call: Any = stack.stub.Watch(
        pb.WatchRequest(
            filter=pb.TaskFilter(queues=["mine"]), heartbeat_interval=Duration(seconds=1)
        )
    )
    await call.initial_metadata()
    await enqueue(stack.store, *(new_task(task_id, queue="other") for task_id in IDS))
    for _ in range(3):  # by the last one, all have passed what is not wanted
        beat = await call.read()
    call.cancel()
    for partition in stack.store.partitions:
        await partition.redis.call(b"XTRIM", partition.keys.log, b"MAXLEN", b"0")
    async with watching(stack, queues=["mine"], resume_token=beat.resume_token) as again:
        await enqueue(stack.store, new_task("late", queue="mine"))
        await claim_all(stack.store, queues=["mine"])
        assert (await again.read()).HasField("heartbeat")
        event = await again.read()

    assert beat.HasField("heartbeat")
    assert event.task_id == "late"


async def test_who_waits_for_results_has_them(stack: Stack) -> None:
    await enqueue(stack.store, *IDS)
    waits = [stack.stub.GetResult(pb.GetResultRequest(task_id=i, wait=True)) for i in IDS]

    claims = await claim_all(stack.store)
    await stack.store.complete([Completion(claim, b'"done"') for claim in claims])
    answers = await asyncio.gather(*waits)

    assert [answer.result.json.string_value for answer in answers] == ["done"] * len(IDS)
