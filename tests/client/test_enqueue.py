"""Handing over tasks: what reaches the server."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import (
    ConflictPolicy,
    EnqueueOptions,
    EnqueueRequest,
    InvalidInput,
    LimitReached,
    QueueFull,
    RetryPolicy,
    TaskHandle,
    Unavailable,
)
from tests.client.conftest import Connect
from tests.client.scripted import Context, refuse


class Accepting:
    """Accepts whatever comes, and remembers it."""

    def __init__(self) -> None:
        self.requests: list[service.EnqueueRequest] = []
        self.batches: list[int] = []

    async def enqueue(self, request: service.EnqueueRequest, _: Context) -> service.EnqueueResponse:
        self.requests.append(request)
        task = pb.Task(id=request.task_id or request.request_id, task_type=request.task_type)
        return service.EnqueueResponse(task=task, created=True)

    async def batch_enqueue(
        self, request: service.BatchEnqueueRequest, context: Context
    ) -> service.BatchEnqueueResponse:
        self.batches.append(len(request.requests))
        responses = [await self.enqueue(entry, context) for entry in request.requests]
        return service.BatchEnqueueResponse(responses=responses)


@dataclass
class Resize:
    path: str
    width: int


async def test_arguments_by_name_become_the_members_of_the_input(connect: Connect) -> None:
    server = Accepting()
    client = await connect(Enqueue=server.enqueue)

    handle = await client.enqueue("demo.add", a=2**63 - 1, b=None, task_type="ü", input=[1.5])

    (request,) = server.requests
    assert request.task_type == "demo.add"
    assert (
        request.input.json_bytes
        == '{"a":9223372036854775807,"b":null,"task_type":"ü","input":[1.5]}'.encode()
    )
    assert handle.id == request.request_id


@pytest.mark.parametrize(
    ("whole", "text"),
    [
        pytest.param(None, b"null", id="null"),
        pytest.param([1, [2]], b"[1,[2]]", id="nested list"),
        pytest.param(Resize("a", 3), b'{"path":"a","width":3}', id="dataclass"),
    ],
)
async def test_an_input_is_given_whole(connect: Connect, whole: Any, text: bytes) -> None:
    server = Accepting()
    client = await connect(Enqueue=server.enqueue)

    await client.enqueue("demo.any", whole)

    assert server.requests[0].input.json_bytes == text


async def test_no_input_leaves_it_unset(connect: Connect) -> None:
    server = Accepting()
    client = await connect(Enqueue=server.enqueue)

    await client.enqueue("demo.any")

    assert not server.requests[0].HasField("input")


async def test_options_reach_the_server(connect: Connect) -> None:
    server = Accepting()
    client = await connect(Enqueue=server.enqueue)
    options = EnqueueOptions(
        task_id="t-1",
        request_id="r-1",
        conflict_policy=ConflictPolicy.USE_EXISTING,
        queue="images",
        priority=9,
        delay=timedelta(milliseconds=1500),
        execution_timeout=timedelta(seconds=30),
        retry_policy=RetryPolicy(max_attempts=5, initial_backoff=timedelta(seconds=2)),
        labels={"team": "a"},
    )

    await client.enqueue("demo.any", options=options)

    assert server.requests[0] == service.EnqueueRequest(
        task_type="demo.any",
        task_id="t-1",
        request_id="r-1",
        conflict_policy=service.CONFLICT_POLICY_USE_EXISTING,
        queue="images",
        priority=9,
        delay=Duration(seconds=1, nanos=500_000_000),
        execution_timeout=Duration(seconds=30),
        retry_policy=pb.RetryPolicy(max_attempts=5, initial_backoff=Duration(seconds=2)),
        labels={"team": "a"},
    )


async def test_a_repeated_enqueue_carries_the_same_request_id(connect: Connect) -> None:
    server = Accepting()

    async def flaky(request: service.EnqueueRequest, context: Context) -> Any:
        answer = await server.enqueue(request, context)
        if len(server.requests) < 3:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        return answer

    client = await connect(Enqueue=flaky)

    await client.enqueue("demo.any")

    assert len(server.requests) == 3
    assert len({request.request_id for request in server.requests}) == 1


async def test_each_enqueue_has_a_request_id_of_its_own(connect: Connect) -> None:
    server = Accepting()
    client = await connect(Enqueue=server.enqueue)

    await client.enqueue("demo.any")
    await client.enqueue("demo.any")

    assert len({request.request_id for request in server.requests}) == 2


async def test_many_tasks_go_in_batches_of_a_thousand_and_come_back_in_order(
    connect: Connect,
) -> None:
    server = Accepting()
    client = await connect(BatchEnqueue=server.batch_enqueue)
    requests = [
        EnqueueRequest("demo.any", {"n": n}, options=EnqueueOptions(task_id=f"t-{n}"))
        for n in range(2500)
    ]

    handles = await client.enqueue_many(requests)

    assert server.batches == [1000, 1000, 500]
    assert [handle.id for handle in handles] == [f"t-{n}" for n in range(2500)]


async def test_large_inputs_are_spread_over_more_batches(connect: Connect) -> None:
    server = Accepting()
    client = await connect(BatchEnqueue=server.batch_enqueue)
    requests = [EnqueueRequest("demo.any", "x" * 1_000_000) for _ in range(7)]

    await client.enqueue_many(requests)

    assert server.batches == [3, 3, 1]


async def test_an_error_names_the_position_among_all_requests(connect: Connect) -> None:
    server = Accepting()

    async def second_is_wrong(request: service.BatchEnqueueRequest, context: Context) -> Any:
        if server.batches:
            await refuse(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_INPUT",
                metadata={"index": "7"},
            )
        return await server.batch_enqueue(request, context)

    client = await connect(BatchEnqueue=second_is_wrong)

    with pytest.raises(InvalidInput) as caught:
        await client.enqueue_many([EnqueueRequest("demo.any")] * 1500)

    assert caught.value.status.metadata["index"] == "1007"


async def test_what_cannot_be_written_as_json_is_refused_before_any_call(connect: Connect) -> None:
    client = await connect()

    with pytest.raises(ValueError, match="cannot be written as JSON"):
        await client.enqueue("demo.any", x=float("nan"))
    with pytest.raises(TypeError, match="object has no JSON form"):
        await client.enqueue("demo.any", x=object())
    with pytest.raises(TypeError, match="not both"):
        await client.enqueue("demo.any", {}, x=1)
    with pytest.raises(TypeError, match="must be EnqueueOptions"):
        await client.enqueue("demo.any", options={"a": 1})  # type: ignore[call-overload]  # the point
    with pytest.raises(ValueError, match="schedule_time and delay"):
        EnqueueOptions(schedule_time=datetime.now(UTC), delay=timedelta(seconds=1))


async def test_no_server_is_unavailable(connect: Connect) -> None:
    from taskline_client import TaskClient

    async with TaskClient("127.0.0.1:1", timeout=timedelta(milliseconds=300)) as client:
        with pytest.raises(Unavailable):
            await client.enqueue("demo.any")


# Several at once


class Folded(Accepting):
    """Answers the first call only when it is told to; so that others wait meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[service.EnqueueRequest]] = []

    async def enqueue_alone(
        self, request: service.EnqueueRequest, context: Context
    ) -> service.EnqueueResponse:
        self.calls.append([request])
        return await self.enqueue(request, context)

    async def enqueue_together(
        self, request: service.BatchEnqueueRequest, context: Context
    ) -> service.BatchEnqueueResponse:
        assert request.allow_partial
        self.calls.append(list(request.requests))
        answer = service.BatchEnqueueResponse()
        for index, entry in enumerate(request.requests):
            response = answer.responses.add()
            if entry.task_type == "full":
                failure = answer.failures.add(index=index, code=8, reason="QUEUE_FULL")
                failure.metadata["limit"] = "7"
                failure.retry_delay.seconds = 3
            elif entry.task_type == "wrong":
                failure = answer.failures.add(index=index, code=3, reason="INVALID_INPUT")
                failure.field_violations.add(field="input.n", description="is missing")
            else:
                response.CopyFrom(await self.enqueue(entry, context))
        return answer

    @property
    def methods(self) -> dict[str, Any]:
        return {"Enqueue": self.enqueue_alone, "BatchEnqueue": self.enqueue_together}


@pytest.mark.one_partition
async def test_tasks_that_are_enqueued_at_once_go_in_few_calls(connect: Connect) -> None:
    server = Folded()
    client = await connect(**server.methods)

    handles = await asyncio.gather(
        *(client.enqueue("t", options=EnqueueOptions(task_id=f"t-{i}")) for i in range(120))
    )

    assert [handle.id for handle in handles] == [f"t-{i}" for i in range(120)]
    # Several are under way at once: they may come in any order.
    assert sorted(len(call) for call in server.calls) == [20, 50, 50]


async def test_one_task_is_enqueued_by_itself(connect: Connect) -> None:
    server = Folded()
    client = await connect(**server.methods)

    for _ in range(3):
        await client.enqueue("t")

    assert [len(call) for call in server.calls] == [1, 1, 1]


async def test_each_of_several_has_its_own_error(connect: Connect) -> None:
    client = await connect(**Folded().methods)

    good, full, wrong, fine = await asyncio.gather(
        *(client.enqueue(name) for name in ("good", "full", "wrong", "fine")),
        return_exceptions=True,
    )

    assert isinstance(good, TaskHandle) and isinstance(fine, TaskHandle)
    assert isinstance(full, QueueFull)
    assert (full.status.code, full.status.metadata) == ("RESOURCE_EXHAUSTED", {"limit": "7"})
    assert full.status.retry_delay == timedelta(seconds=3)
    assert isinstance(wrong, InvalidInput)
    assert [violation.field for violation in wrong.violations] == ["input.n"]


async def test_two_requests_for_one_task_go_in_two_calls(connect: Connect) -> None:
    server = Folded()
    client = await connect(**server.methods)

    same = EnqueueOptions(task_id="t", conflict_policy=ConflictPolicy.USE_EXISTING)
    await asyncio.gather(*(client.enqueue("a", options=same) for _ in range(3)))

    assert [len(call) for call in server.calls] == [1, 1, 1]


async def test_a_call_that_fails_is_told_to_all_that_were_in_it(connect: Connect) -> None:
    async def refuse_all(_: service.BatchEnqueueRequest, context: Context) -> None:
        await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")

    client = await connect(BatchEnqueue=refuse_all)

    outcomes = await asyncio.gather(
        *(client.enqueue("t") for _ in range(3)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [LimitReached] * 3
    assert len(set(map(id, outcomes))) == 3


async def test_who_gives_up_takes_nothing_from_the_others(connect: Connect) -> None:
    client = await connect(**Folded().methods)

    hasty, *others = [asyncio.create_task(client.enqueue("t")) for _ in range(3)]
    await asyncio.sleep(0)
    hasty.cancel()

    assert all([handle.created for handle in await asyncio.gather(*others)])
    assert hasty.cancelled()
