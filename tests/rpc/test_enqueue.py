"""Enqueue and BatchEnqueue over plain stubs: what is wrong is named, and nothing is written."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext
from taskline_service.rpc.json_value import canonical
from tests.stack import Stack

Request = pb.EnqueueRequest

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def stack_with_tasks(stack: Stack) -> Stack:
    @stack.tasks.task("echo")
    def echo(value: Any, /) -> Any:
        return value

    @stack.tasks.task("add")
    def add(a: int, b: int) -> int:
        return a + b

    @stack.tasks.task("which")
    def which(ctx: TaskContext) -> str:
        return ctx.task_id

    return stack


def status_of(error: grpc.aio.AioRpcError) -> tuple[error_details_pb2.ErrorInfo, list[str]]:
    """The reason, and the fields that are wrong."""
    status, info, bad = (
        status_pb2.Status(),
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
    )
    trailers = {key: value for key, value in error.trailing_metadata() or ()}
    details = trailers["grpc-status-details-bin"]
    status.ParseFromString(details if isinstance(details, bytes) else details.encode())
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return info, [violation.field for violation in bad.field_violations]


def nested(levels: int) -> Value:
    value = Value(number_value=1)
    for _ in range(levels):
        value = Value(list_value=ListValue(values=[value]))
    return value


WRONG: dict[str, tuple[Callable[[], Request], str]] = {
    "no task type": (Request, "task_type"),
    "a line break in the type": (lambda: Request(task_type="echo\n"), "task_type"),
    "a colon in the type": (lambda: Request(task_type="a:b"), "task_type"),
    "digits of another script": (lambda: Request(task_type="echo", task_id="٣"), "task_id"),
    "a brace in the id": (lambda: Request(task_type="echo", task_id="{a}"), "task_id"),
    "NUL in the id": (lambda: Request(task_type="echo", task_id="a\0b"), "task_id"),
    "a long id": (lambda: Request(task_type="echo", task_id="a" * 129), "task_id"),
    "a long request id": (lambda: Request(task_type="echo", request_id="a" * 65), "request_id"),
    "a glob as the queue": (lambda: Request(task_type="echo", queue="*"), "queue"),
    "a high priority": (lambda: Request(task_type="echo", priority=10), "priority"),
    "a negative priority": (lambda: Request(task_type="echo", priority=-1), "priority"),
    "an unknown policy": (lambda: Request(task_type="echo", conflict_policy=77), "conflict_policy"),  # type: ignore[arg-type]
    "a negative delay": (lambda: Request(task_type="echo", delay=Duration(nanos=-1)), "delay"),
    "a huge delay": (lambda: Request(task_type="echo", delay=Duration(seconds=2**62)), "delay"),
    "the far future": (
        lambda: Request(task_type="echo", schedule_time=Timestamp(seconds=253402300799)),
        "schedule_time",
    ),
    "no such time": (
        lambda: Request(task_type="echo", schedule_time=Timestamp(seconds=2**62)),
        "schedule_time",
    ),
    "no time to execute": (
        lambda: Request(task_type="echo", execution_timeout=Duration()),
        "execution_timeout",
    ),
    "no time to start": (
        lambda: Request(task_type="echo", queue_timeout=Duration(nanos=1)),
        "queue_timeout",
    ),
    "attempts below unlimited": (
        lambda: Request(task_type="echo", retry_policy=task_pb2.RetryPolicy(max_attempts=-2)),
        "retry_policy.max_attempts",
    ),
    "a multiplier that is no number": (
        lambda: Request(
            task_type="echo", retry_policy=task_pb2.RetryPolicy(backoff_multiplier=float("nan"))
        ),
        "retry_policy.backoff_multiplier",
    ),
    "an endless multiplier": (
        lambda: Request(
            task_type="echo", retry_policy=task_pb2.RetryPolicy(backoff_multiplier=float("inf"))
        ),
        "retry_policy.backoff_multiplier",
    ),
    "too many labels": (
        lambda: Request(task_type="echo", labels={f"k{i}": "" for i in range(17)}),
        "labels",
    ),
    "a control character in a label": (
        lambda: Request(task_type="echo", labels={"k": "\x1b[31m"}),
        'labels["k"]',
    ),
    "another key in the trace": (
        lambda: Request(
            task_type="echo", trace_context={"traceparent": TRACEPARENT, "cookie": "x"}
        ),
        "trace_context",
    ),
    "NaN": (
        lambda: Request(
            task_type="echo", input=task_pb2.Payload(json=Value(number_value=float("nan")))
        ),
        "input.json",
    ),
    "a value of no kind": (
        lambda: Request(task_type="echo", input=task_pb2.Payload(json=Value())),
        "input.json",
    ),
    "31 levels": (
        lambda: Request(task_type="echo", input=task_pb2.Payload(json=nested(31))),
        "input.json",
    ),
    "no JSON": (
        lambda: Request(task_type="echo", input=task_pb2.Payload(json_bytes=b"{'a': 1}")),
        "input.json_bytes",
    ),
    "no UTF-8": (
        lambda: Request(task_type="echo", input=task_pb2.Payload(json_bytes=b'"\xff"')),
        "input.json_bytes",
    ),
    "half of a surrogate pair": (
        lambda: Request(task_type="echo", input=task_pb2.Payload(json_bytes=b'"\\ud800"')),
        "input.json_bytes",
    ),
    "NaN as text": (
        lambda: Request(task_type="echo", input=task_pb2.Payload(json_bytes=b"NaN")),
        "input.json_bytes",
    ),
    "many thousand levels": (
        lambda: Request(
            task_type="echo",
            input=task_pb2.Payload(json_bytes=b"[" * 100_000 + b"]" * 100_000),
        ),
        "input.json_bytes",
    ),
    "too large": (
        lambda: Request(
            task_type="echo", input=task_pb2.Payload(json_bytes=b'"' + b"x" * (1 << 20) + b'"')
        ),
        "input.json_bytes",
    ),
    "the wrong type of an argument": (
        lambda: Request(task_type="add", input=task_pb2.Payload(json_bytes=b'{"a":"x","b":1}')),
        "input.a",
    ),
}


@pytest.mark.parametrize(("make", "field"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_field_is_named_and_nothing_is_written(
    stack_with_tasks: Stack, make: Callable[[], Request], field: str
) -> None:
    stub = stack_with_tasks.stub

    with pytest.raises(grpc.aio.AioRpcError) as alone:
        await stub.Enqueue(make())
    with pytest.raises(grpc.aio.AioRpcError) as batched:
        await stub.BatchEnqueue(
            pb.BatchEnqueueRequest(requests=[Request(task_type="which"), make()])
        )
    with pytest.raises(grpc.aio.AioRpcError) as run:
        async for _ in stub.Run(pb.RunRequest(enqueue=make())):
            pass

    for error in (alone.value, batched.value, run.value):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert status_of(alone.value)[1] == [field]
    info, fields = status_of(batched.value)
    assert (info.metadata["index"], fields) == ("1", [f"requests[1].{field}"])
    assert (await stub.ListTasks(pb.ListTasksRequest())).total_size == 0


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"9223372036854775807", id="64 bits"),
        pytest.param(b"123456789012345678901234567890", id="more than 64 bits"),
        pytest.param(b'"\\u0000"', id="NUL"),
        pytest.param('"é漢😀\u202e"'.encode(), id="any script"),
        pytest.param(b"[" * 200 + b"]" * 200, id="200 levels"),
        pytest.param(b'{"":{"a":null,"b":[]}}', id="an empty key"),
        pytest.param(b"null", id="null"),
        pytest.param(b"-0.0", id="minus zero"),
        pytest.param(b"1e+308", id="a large double"),
    ],
)
async def test_a_strange_value_comes_back_as_it_was(stack_with_tasks: Stack, data: bytes) -> None:
    stack = stack_with_tasks
    request = Request(task_type="echo", task_id="odd", input=task_pb2.Payload(json_bytes=data))
    async with stack.worker():
        await stack.stub.Enqueue(request)
        response = await stack.stub.GetResult(
            pb.GetResultRequest(
                task_id="odd",
                timeout=Duration(seconds=10),
                payload_format=task_pb2.PAYLOAD_FORMAT_JSON_BYTES,
            )
        )

    assert response.result.json_bytes == data


@pytest.mark.parametrize(
    "name",
    ["rev", "log", "queue:x", "t:a", "i:QUEUED:q", "leases", "a..b", "a:b:c:", "9", "a" * 128],
)
async def test_d47_no_name_collides_with_another_key_of_the_store(
    stack_with_tasks: Stack, name: str
) -> None:
    stack = stack_with_tasks
    async with stack.worker():
        await stack.stub.Enqueue(Request(task_type="which", task_id=name, queue=name))
        response = await stack.stub.GetResult(
            pb.GetResultRequest(task_id=name, timeout=Duration(seconds=10))
        )
        page = await stack.stub.ListTasks(pb.ListTasksRequest(filter=pb.TaskFilter(queues=[name])))

    assert response.result.json.string_value == name
    assert [task.id for task in page.tasks] == [name]


@pytest.mark.parametrize(
    "count", [pytest.param(0, id="empty"), pytest.param(1001, id="one too many")]
)
async def test_a_batch_has_1_to_1000_entries(stack_with_tasks: Stack, count: int) -> None:
    request = pb.BatchEnqueueRequest(requests=[Request(task_type="which")] * count)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stack_with_tasks.stub.BatchEnqueue(request)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert status_of(refused.value)[1] == ["requests"]


the_same_task_twice = pytest.mark.parametrize(
    ("pair", "field"),
    [
        pytest.param((Request(task_id="a"), Request(task_id="a")), "task_id", id="task_id"),
        pytest.param(
            (Request(request_id="a"), Request(request_id="a")), "request_id", id="request_id"
        ),
        pytest.param(
            (Request(task_id="a"), Request(request_id="a")), "request_id", id="one as the other"
        ),
    ],
)


@the_same_task_twice
async def test_no_task_occurs_twice_in_a_batch(
    stack_with_tasks: Stack, pair: tuple[Request, Request], field: str
) -> None:
    request = pb.BatchEnqueueRequest(requests=pair)
    for entry in request.requests:
        entry.task_type = "which"

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stack_with_tasks.stub.BatchEnqueue(request)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    info, fields = status_of(refused.value)
    assert (info.metadata["index"], fields) == ("1", [f"requests[1].{field}"])
    known = await stack_with_tasks.stub.ListTasks(pb.ListTasksRequest())
    assert known.total_size == 0


@the_same_task_twice
async def test_of_a_task_that_occurs_twice_a_partial_batch_accepts_the_first(
    stack_with_tasks: Stack, pair: tuple[Request, Request], field: str
) -> None:
    request = pb.BatchEnqueueRequest(requests=[*pair, Request(task_id="b")], allow_partial=True)
    for entry in request.requests:
        entry.task_type = "which"

    response = await stack_with_tasks.stub.BatchEnqueue(request)

    assert [answer.task.id for answer in response.responses] == ["a", "", "b"]
    [failure] = response.failures
    assert (failure.index, failure.reason) == (1, "INVALID_INPUT")
    assert [violation.field for violation in failure.field_violations] == [field]
    assert failure.message.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("entries", "index", "reason"),
    [
        pytest.param(["good", "taken", "wrong"], "1", "TASK_ALREADY_EXISTS", id="taken first"),
        pytest.param(["good", "wrong", "taken"], "1", "TASK_TYPE_NOT_FOUND", id="wrong first"),
    ],
)
@pytest.mark.parametrize("validate_only", [False, True])
async def test_of_a_batch_the_first_entry_that_cannot_be_accepted_is_named(
    stack_with_tasks: Stack, entries: list[str], index: str, reason: str, validate_only: bool
) -> None:
    stub = stack_with_tasks.stub
    await stub.Enqueue(Request(task_type="which", task_id="taken"))
    requests = [
        Request(
            task_type="nobody.knows" if entry == "wrong" else "which",
            task_id=entry,
            validate_only=validate_only,
        )
        for entry in entries
    ]

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.BatchEnqueue(pb.BatchEnqueueRequest(requests=requests))

    info, _ = status_of(refused.value)
    assert (info.reason, info.metadata["index"]) == (reason, index)
    assert (await stub.ListTasks(pb.ListTasksRequest())).total_size == 1


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("policy", pb.ConflictPolicy.values())
async def test_a_taken_id_is_treated_as_the_policy_says_and_checked_just_so(
    stack_with_tasks: Stack, policy: pb.ConflictPolicy.ValueType, ended: bool
) -> None:
    stub = stack_with_tasks.stub
    first = (await stub.Enqueue(Request(task_type="which", task_id="t"))).task
    if ended:
        await stub.CancelTask(pb.CancelTaskRequest(task_id="t"))
    again = Request(task_type="which", task_id="t", priority=5, conflict_policy=policy)
    check = Request()
    check.CopyFrom(again)
    check.validate_only = True

    if policy in (pb.CONFLICT_POLICY_UNSPECIFIED, pb.CONFLICT_POLICY_REJECT):
        for refused in (check, again):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.Enqueue(refused)
            assert error.value.code() is grpc.StatusCode.ALREADY_EXISTS
            assert status_of(error.value)[0].reason == "TASK_ALREADY_EXISTS"
        return
    replaced = policy == pb.CONFLICT_POLICY_REPLACE_TERMINAL and ended
    checked, answer = await stub.Enqueue(check), await stub.Enqueue(again)

    assert (checked.task.id, checked.task.uid, checked.task.resume_token) == ("", "", "")
    assert checked.task.priority == answer.task.priority == (5 if replaced else 0)
    assert (answer.created, answer.task.uid == first.uid) == (replaced, not replaced)


async def test_a_repeated_request_is_checked_and_answered_as_the_first_time(
    stack_with_tasks: Stack,
) -> None:
    stub = stack_with_tasks.stub
    request = Request(task_type="which", request_id="once")
    first = await stub.Enqueue(request)
    again = await stub.Enqueue(request)
    request.validate_only = True
    checked = await stub.Enqueue(request)

    assert (first.created, again.created, checked.created) == (True, True, True)
    assert again.task == first.task
    assert checked.task.id == ""


@pytest.mark.parametrize("validate_only", [False, True])
async def test_a_partial_batch_accepts_what_it_can_and_tells_of_the_rest(
    stack_with_tasks: Stack, validate_only: bool
) -> None:
    stub = stack_with_tasks.stub
    await stub.Enqueue(Request(task_type="which", task_id="taken"))
    requests = [
        Request(task_type="which", task_id="good"),
        Request(task_type="which", task_id="taken"),
        Request(task_type="nobody.knows"),
        Request(task_type="add", input=task_pb2.Payload(json_bytes=b"{}")),
    ]
    for request in requests:
        request.validate_only = validate_only

    response = await stub.BatchEnqueue(
        pb.BatchEnqueueRequest(requests=requests, allow_partial=True)
    )

    accepted = "" if validate_only else "good"
    assert [answer.task.id for answer in response.responses] == [accepted, "", "", ""]
    assert [answer.HasField("task") for answer in response.responses] == [True, *[False] * 3]
    assert [(failure.index, failure.reason) for failure in response.failures] == [
        (1, "TASK_ALREADY_EXISTS"),
        (2, "TASK_TYPE_NOT_FOUND"),
        (3, "INVALID_INPUT"),
    ]
    assert [v.field for v in response.failures[2].field_violations] == ["input.a", "input.b"]
    assert [part.partition(":")[0] for part in response.failures[2].message.split("; ")] == [
        "input.a",
        "input.b",
    ]
    known = (await stub.ListTasks(pb.ListTasksRequest())).total_size
    assert known == (1 if validate_only else 2)


async def test_validate_only_must_be_the_same_in_all_of_a_batch(stack_with_tasks: Stack) -> None:
    requests = [Request(task_type="which", validate_only=v) for v in (False, True)]

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stack_with_tasks.stub.BatchEnqueue(
            pb.BatchEnqueueRequest(requests=requests, allow_partial=True)
        )

    assert status_of(refused.value)[1] == ["requests"]
    assert (await stack_with_tasks.stub.ListTasks(pb.ListTasksRequest())).total_size == 0


async def test_a_thousand_wrong_fields_are_told_within_one_status(stack_with_tasks: Stack) -> None:
    wrong = Request(task_type="add", task_id="{", queue="*", priority=99, labels={"ä": ""})

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stack_with_tasks.stub.BatchEnqueue(pb.BatchEnqueueRequest(requests=[wrong]))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    fields = ["task_id", "queue", "priority", "labels"]
    assert status_of(refused.value)[1] == [f"requests[0].{field}" for field in fields]


async def test_a_message_far_over_the_limit_is_refused_before_it_is_read(
    stack_with_tasks: Stack,
) -> None:
    large = Request(task_type="echo", input=task_pb2.Payload(json_bytes=b"1" * (9 << 20)))

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stack_with_tasks.stub.Enqueue(large)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_bytes_that_are_no_message_are_refused(stack_with_tasks: Stack) -> None:
    async with grpc.aio.insecure_channel(stack_with_tasks.address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        call = channel.unary_unary("/taskline.v1.TaskService/Enqueue")

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"\xff\xff\xff")

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_fifty_calls_with_one_request_id_make_one_task(stack_with_tasks: Stack) -> None:
    request = Request(task_type="which", request_id="once")

    answers = await asyncio.gather(*(stack_with_tasks.stub.Enqueue(request) for _ in range(50)))

    assert len({answer.task.uid for answer in answers}) == 1
    assert all(answer.created for answer in answers)
    assert (await stack_with_tasks.stub.ListTasks(pb.ListTasksRequest())).total_size == 1


# The same request again

CONTENT = Request(
    task_type="echo",
    task_id="named",
    request_id="again",
    input=task_pb2.Payload(json_bytes=b'{"a": 1, "b": [{"c": 2, "d": 3}]}'),
    queue="q",
    priority=1,
    delay=Duration(seconds=60),
    queue_timeout=Duration(seconds=61),
    execution_timeout=Duration(seconds=62),
    result_ttl=Duration(seconds=63),
    retry_policy=task_pb2.RetryPolicy(
        max_attempts=2,
        initial_backoff=Duration(seconds=1),
        max_backoff=Duration(seconds=2),
        backoff_multiplier=2,
    ),
    labels={"team": "a", "env": "b"},
)


def changed(**fields: Any) -> Request:
    request = Request()
    request.CopyFrom(CONTENT)
    for name, value in fields.items():
        request.ClearField(name)  # type: ignore[arg-type]  # one of its own
        request.MergeFrom(Request(**{name: value}))
    return request


def json_text(data: bytes) -> task_pb2.Payload:
    return task_pb2.Payload(json_bytes=data)


def json_value(**members: Any) -> task_pb2.Payload:
    payload = task_pb2.Payload()
    payload.json.struct_value.update(members)
    return payload


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(changed(), id="all as it was"),
        pytest.param(
            changed(input=json_text(b'{"b":[{"d":3,"c":2}],"a":1}')), id="members in another order"
        ),
        pytest.param(
            changed(input=json_text(b'{ "\\u0061": 1,\n"b": [ {"c": 2, "d": 3} ] }')),
            id="other spacing and escapes",
        ),
        pytest.param(changed(input=json_value(b=[{"d": 3, "c": 2}], a=1)), id="as a value"),
        pytest.param(changed(labels={"env": "b", "team": "a"}), id="labels in another order"),
        pytest.param(changed(conflict_policy=pb.CONFLICT_POLICY_USE_EXISTING), id="policy"),
        pytest.param(changed(trace_context={"traceparent": TRACEPARENT}), id="trace"),
    ],
)
async def test_a_request_that_was_made_anew_is_the_same_one(
    stack_with_tasks: Stack, again: Request
) -> None:
    first = await stack_with_tasks.stub.Enqueue(CONTENT)

    second = await stack_with_tasks.stub.Enqueue(again)

    assert second.created
    assert second.task.uid == first.task.uid
    assert (await stack_with_tasks.stub.ListTasks(pb.ListTasksRequest())).total_size == 1


OTHER: dict[str, Any] = {
    "task_type": "another",
    "input": json_text(b'{"a": 1, "b": [{"c": 3, "d": 2}]}'),
    "queue": "",
    "priority": 0,
    "delay": Duration(seconds=60, nanos=1),
    "schedule_time": Timestamp(seconds=int(time.time()) + 3600),
    "queue_timeout": Duration(seconds=62),
    "execution_timeout": Duration(seconds=61),
    "result_ttl": Duration(seconds=64),
    "labels": {"team": "b", "env": "a"},
    "retry_policy": task_pb2.RetryPolicy(max_attempts=2, backoff_multiplier=2),
}
NOT_CONTENT = {"task_id", "request_id", "conflict_policy", "validate_only", "trace_context"}


@pytest.mark.parametrize("name", sorted({*Request.DESCRIPTOR.fields_by_name} - NOT_CONTENT))
async def test_a_request_with_another_content_is_told_from_the_first(
    stack_with_tasks: Stack, name: str
) -> None:
    @stack_with_tasks.tasks.task("another")
    def another(value: Any, /) -> Any:
        return value

    await stack_with_tasks.stub.Enqueue(CONTENT)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stack_with_tasks.stub.Enqueue(changed(**{name: OTHER[name]}))

    assert status_of(refused.value)[0].reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(b"1", b"1.0", id="a whole number"),
        pytest.param(b"18446744073709551616", b"18446744073709551617", id="beyond 64 bits"),
        pytest.param(b"-9223372036854775809", b"-9223372036854775810", id="far below zero"),
        pytest.param(b'{"a":[1]}', b'{"a":[1,1]}', id="one item more"),
        pytest.param(b'"e+"', b'"e-"', id="text like a number"),
    ],
)
def test_values_that_differ_are_told_apart(one: bytes, other: bytes) -> None:
    assert canonical(one) != canonical(other)
    assert canonical(b" [%s ,2]" % one) == canonical(b"[%s, 2]" % one)


# A batch and somebody else at the same time


@pytest.mark.one_partition
async def test_a_batch_that_somebody_was_faster_than_is_completed_by_a_repeat(
    stack_with_tasks: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, redis = stack_with_tasks.stub, stack_with_tasks.store.redis
    requests = [Request(task_type="which", request_id=f"r-{i}") for i in range(350)]
    run_script, writes = redis.script, list[int]()

    async def script(name: str, prefix: bytes, args: dict[str, Any], **options: float) -> Any:
        reply = await run_script(name, prefix, args, **options)
        if name == "enqueue" and not args["check_only"]:
            writes.append(len(args["tasks"]))
            if len(writes) == 1:  # all is checked, and the first step is written
                await stub.Enqueue(Request(task_type="which", task_id="r-290"))
        return reply

    monkeypatch.setattr(redis, "script", script)

    async def refused_at() -> tuple[str, str]:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.BatchEnqueue(pb.BatchEnqueueRequest(requests=requests))
        info, _ = status_of(refused.value)
        return info.reason, info.metadata["index"]

    async def known() -> int:
        return (await stub.ListTasks(pb.ListTasksRequest())).total_size

    assert await refused_at() == ("TASK_ALREADY_EXISTS", "290")
    in_steps = await known()
    assert in_steps == writes[0] + writes[2] + 1 == 201, "those before stay, and nothing after"
    assert await refused_at() == ("TASK_ALREADY_EXISTS", "290")
    assert await known() == in_steps, "a repeat adds nothing while that entry is in it"
    requests[290] = Request(task_type="which", request_id="r-290-b")
    answer = await stub.BatchEnqueue(pb.BatchEnqueueRequest(requests=requests))

    assert all(response.created for response in answer.responses)
    assert await known() == 351
