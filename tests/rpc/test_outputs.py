"""Tasks that yield: each value is an output event, kept in order, bounded."""

from collections.abc import AsyncIterator, Generator, Iterator
from datetime import timedelta

import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext
from taskline_service.limits import MAX_OUTPUT_BYTES
from tests.rpc.test_list_task_events import story
from tests.stack import Stack


def outputs(events: list[task_pb2.TaskEvent]) -> list[bytes]:
    return [e.output.json_bytes for e in events if e.WhichOneof("event") == "output"]


async def run(stack: Stack, task_type: str) -> list[task_pb2.TaskEvent]:
    request = pb.RunRequest(
        enqueue=pb.EnqueueRequest(task_type=task_type, task_id=task_type),
        payload_format=task_pb2.PAYLOAD_FORMAT_JSON_BYTES,
    )
    return [event async for event in stack.stub.Run(request)]


async def test_what_an_async_generator_yields_is_streamed_and_kept_in_order(stack: Stack) -> None:
    @stack.tasks.task("count")
    async def count(ctx: TaskContext) -> AsyncIterator[dict[str, int]]:
        for i in range(250):
            if i == 100:
                await ctx.log("a hundred")
            yield {"n": i}

    async with stack.worker():
        events = await run(stack, "count")

    expected = [b'{"n":%d}' % i for i in range(250)]
    assert outputs(events) == expected
    kinds = [event.WhichOneof("event") for event in events]
    before = [k for k in kinds[: kinds.index("log")] if k == "output"]
    assert len(before) == 100
    assert events[-1].ended.result.json_bytes == b"null"
    kept = await story(stack, "count", page_size=70)
    assert [e.output.json.struct_value["n"] for e in kept if e.HasField("output")] == [*range(250)]


async def test_a_plain_generator_emits_from_its_thread_and_returns_its_result(
    stack: Stack,
) -> None:
    @stack.tasks.task("plain")
    def plain() -> Generator[str, None, int]:
        yield "a"
        yield "ü"
        return 2

    async with stack.worker():
        events = await run(stack, "plain")

    assert outputs(events) == [b'"a"', '"ü"'.encode()]
    assert events[-1].ended.result.json_bytes == b"2"


async def test_outputs_of_a_failed_attempt_stay_in_the_story(stack: Stack) -> None:
    @stack.tasks.task("flaky", initial_backoff=timedelta(milliseconds=5))
    async def flaky(ctx: TaskContext) -> AsyncIterator[int]:
        yield ctx.attempt
        if ctx.attempt == 1:
            raise ConnectionError("not yet")

    async with stack.worker():
        events = await run(stack, "flaky")

    assert outputs(events) == [b"1", b"2"]


async def test_large_outputs_come_whole_and_one_over_the_limit_fails_the_task(
    stack: Stack,
) -> None:
    @stack.tasks.task("large")
    async def large() -> AsyncIterator[str]:
        for _ in range(20):
            yield "x" * (MAX_OUTPUT_BYTES - 2)
        yield "x" * MAX_OUTPUT_BYTES

    async with stack.worker():
        events = await run(stack, "large")

    assert [len(data) for data in outputs(events)] == [MAX_OUTPUT_BYTES] * 20
    error = events[-1].ended.error
    assert error.error_type == task_pb2.TaskError.TYPE_SERIALIZATION
    assert str(MAX_OUTPUT_BYTES) in error.message
    assert "reference" in error.message


async def test_an_output_that_is_not_json_fails_the_task_with_its_place(stack: Stack) -> None:
    @stack.tasks.task("strange")
    def strange() -> Iterator[object]:
        yield {"ok": [object()]}

    async with stack.worker():
        events = await run(stack, "strange")

    error = events[-1].ended.error
    assert error.error_type == task_pb2.TaskError.TYPE_SERIALIZATION
    assert "output.ok[0]" in error.message
    assert error.retry_count == 0


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_cancelled_generator_stops(stack: Stack, kind: str) -> None:
    closed: list[str] = []

    @stack.tasks.task("async")
    async def endless_async() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("async")

    @stack.tasks.task("plain")
    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("plain")

    async with stack.worker():
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type=kind, task_id="endless"))
        watch = stack.stub.Watch(pb.WatchRequest(task_ids=["endless"]))
        async for event in watch:
            if event.WhichOneof("event") == "output":
                await stack.stub.CancelTask(pb.CancelTaskRequest(task_id="endless"))
                break
        watch.cancel()
        request = pb.GetResultRequest(task_id="endless", wait=True)
        answer = await stack.stub.GetResult(request)

    assert answer.error.error_type == task_pb2.TaskError.TYPE_CANCELLED
    assert closed == [kind]
