"""F0-F2: results are read as they are, by everyone, with one set of names."""

import asyncio
import dataclasses
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.message import Message
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from taskline.v1 import admin_service_pb2, task_pb2, task_service_pb2
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import Progress, Task, TaskError
from taskline_client import types as client_types
from taskline_service import TaskContext
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.shell import Ran, serving, taskline
from tests.requirements.wire import (
    State,
    enqueue,
    get_result,
    get_task,
    listed,
    result_within,
    states_told,
    whole_life,
)
from tests.stack import Stack

STILL_OPEN = (
    State.STATE_SCHEDULED,
    State.STATE_QUEUED,
    State.STATE_RUNNING,
    State.STATE_RETRYING,
)


def bare(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """Without what stubs leave out: comments, and JSON names, which follow from the others."""
    file.ClearField("source_code_info")
    messages = list(file.message_type)
    while messages:
        message = messages.pop()
        messages += message.nested_type
        for field in message.field:
            field.ClearField("json_name")
    return file


# F0: the whole way


async def test_f0_1_fs1_on_a_fresh_install_a_task_is_enqueued_and_its_result_printed(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as address:
        enqueued = await taskline(
            address, "enqueue", "demo.divide", "dividend=1", "divisor=8", "-o", "id"
        )
        result = await taskline(address, "result", enqueued.out.strip(), "--wait")

    assert enqueued.code == 0
    assert result == Ran(0, "0.125\n", "")


async def test_f0_2_client_and_server_have_the_same_schema(stack: Stack) -> None:
    """What the server says it speaks is what the client was generated from."""
    ours = [admin_service_pb2.DESCRIPTOR, task_pb2.DESCRIPTOR, task_service_pb2.DESCRIPTOR]

    def ask() -> list[descriptor_pb2.FileDescriptorProto]:
        with grpc.insecure_channel(stack.address) as channel:
            served = ProtoReflectionDescriptorDatabase(channel)
            return [served.FindFileByName(file.name) for file in ours]

    for file, served in zip(ours, await asyncio.to_thread(ask), strict=True):
        expected = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(expected)
        assert bare(served) == bare(expected)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        pytest.param(("get", "{id}"), service.GetTaskResponse(), id="get"),
        pytest.param(("result", "{id}"), service.GetResultResponse(), id="result"),
        pytest.param(("list",), service.ListTasksResponse(), id="list"),
        pytest.param(("types",), service.ListTaskTypesResponse(), id="types"),
        pytest.param(("queues",), admin_service_pb2.ListQueuesResponse(), id="queues"),
        pytest.param(("workers",), admin_service_pb2.ListWorkersResponse(), id="workers"),
    ],
)
async def test_f0_2_the_command_line_prints_the_names_of_the_contract(
    stack: Stack, command: tuple[str, ...], answer: Message
) -> None:
    @stack.tasks.task("answer")
    async def answer_it() -> int:
        return 42

    async with stack.worker():
        task = await enqueue(stack, "answer")
        await result_within(stack, task.id)
        arguments = [part.format(id=task.id) for part in command]
        ran = await taskline(stack.address, *arguments, "-o", "json")

    json_format.Parse(ran.out, answer)  # refuses a name that the contract does not have
    assert answer.ByteSize() > 0


async def test_f0_3_results_outlive_a_restart_of_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as address:
        enqueue_it = ("enqueue", "demo.divide", "dividend=1", "divisor=8", "-o", "id")
        task_id = (await taskline(address, *enqueue_it)).out.strip()
        before = await taskline(address, "result", task_id, "--wait", "-o", "json")

    async with serving(tmp_path) as address:
        after = await taskline(address, "result", task_id, "-o", "json")

    was, now = json.loads(before.out), json.loads(after.out)
    for told in (was["task"], now["task"]):
        del told["resumeToken"]  # where a watch would continue
    assert now == was
    assert now["result"]["json"] == 0.125


async def test_f0_3_a_result_is_kept_for_a_day_as_documented(stack: Stack) -> None:
    @stack.tasks.task("answer")
    async def answer() -> int:
        return 42

    async with stack.worker():
        task = (await result_within(stack, (await enqueue(stack, "answer")).id)).task

    kept = task.result_expire_time.ToDatetime() - task.end_time.ToDatetime()
    info = await stack.admin.GetServerInfo(admin_service_pb2.GetServerInfoRequest())
    assert kept == info.default_result_ttl.ToTimedelta() == timedelta(hours=24)
    documented = (Path(__file__).parents[2] / "protos/taskline/v1/task_service.proto").read_text()
    assert "deployment's, 24 h unless configured" in documented


# F1: the result itself


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"score": 0.5, "tags": ["a", None], "nested": {"deep": [[]]}}, id="object"),
        pytest.param([1, [2, [3]]], id="list"),
        pytest.param({"result": 1}, id="looks like a wrapper"),
        pytest.param("COMPLETED", id="looks like a status"),
        pytest.param("", id="empty text"),
        pytest.param(2**63 - 1, id="64 bits"),
        pytest.param(False, id="false"),
        pytest.param(0, id="zero"),
        pytest.param(None, id="null"),
    ],
)
async def test_f1_1_the_result_is_the_very_value_that_the_task_returned(
    stack: Stack, value: Any
) -> None:
    @stack.tasks.task("give")
    async def give() -> Any:
        return value

    async with stack.worker():
        handle = await stack.client.enqueue("give")
        result = await handle.result()

    assert (type(result), result) == (type(value), value)


async def test_f1_2_the_end_time_is_the_stored_moment_of_the_end_and_never_now(
    stack: Stack,
) -> None:
    @stack.tasks.task("answer")
    async def answer() -> int:
        return 42

    async with stack.worker():
        first = await enqueue(stack, "answer")
        told = (await whole_life(stack, first.id))[-1].event_time
        # Time passes, by whole lives of other tasks, until the clock shows another second.
        later = first
        while later.create_time.seconds <= told.seconds:
            later = (await result_within(stack, (await enqueue(stack, "answer")).id)).task

    (in_list,) = [task for task in await listed(stack) if task.id == first.id]
    reads = [
        (await get_task(stack, first.id)).end_time,
        (await get_result(stack, first.id)).task.end_time,
        in_list.end_time,
    ]
    assert reads == [told] * 3


async def test_f1_3_a_result_that_cannot_be_stored_never_becomes_completed(stack: Stack) -> None:
    @stack.tasks.task("bad")
    async def bad() -> Any:
        return {"rows": [1, {"file": Path.open}]}

    task = await enqueue(stack, "bad")
    async with stack.worker():
        events = await whole_life(stack, task.id, task.resume_token)

    assert states_told(events) == [State.STATE_RUNNING, State.STATE_FAILED]
    error = (await get_result(stack, task.id)).error
    assert error.error_type == pb.TaskError.TYPE_SERIALIZATION
    assert "rows" in error.message
    assert (await get_task(stack, task.id)).result_size == 0


async def test_f1_4_a_result_comes_with_worker_attempts_and_times(stack: Stack) -> None:
    @stack.tasks.task("second.time", initial_backoff=timedelta(milliseconds=1))
    async def second_time(ctx: TaskContext) -> str:
        if ctx.attempt == 1:
            raise ConnectionError("not yet")
        return ctx.worker

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "second.time")).id)

    task = answer.task
    assert task.attempts == 2
    assert task.worker == answer.result.json.string_value != ""
    enqueued, started, ended = (
        moment.ToNanoseconds() for moment in (task.create_time, task.start_time, task.end_time)
    )
    assert 0 < enqueued < started < ended
    (first, second) = (await get_task(stack, task.id)).attempt_history
    assert (second.start_time, second.end_time) == (task.start_time, task.end_time)
    assert first.end_time.ToNanoseconds() <= started


async def test_f1_5_an_unknown_task_is_not_found_by_its_id(stack: Stack) -> None:
    for call in (get_result, get_task):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(stack, "no-such-task")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert "no-such-task" in (refused.value.details() or "")

    ran = await taskline(stack.address, "result", "no-such-task")
    assert (ran.code, ran.out) == (3, "")
    assert "no-such-task" in ran.err


async def test_f1_6_an_unfinished_task_is_answered_with_its_state_and_no_outcome(
    stack: Stack,
) -> None:
    async with one_task_in_each_state(stack) as ids:
        answers = {state: await get_result(stack, ids[state]) for state in STILL_OPEN}

    for state, answer in answers.items():
        assert answer.task.state == state
        assert answer.WhichOneof("outcome") is None
        assert not answer.wait_timed_out


async def test_f1_7_a_failed_task_is_answered_with_its_own_error(stack: Stack) -> None:
    @stack.tasks.task("broken", max_attempts=1)
    def broken() -> None:
        raise KeyError("the missing key")

    async with stack.worker():
        waited = await result_within(stack, (await enqueue(stack, "broken")).id)

    read = await get_result(stack, waited.task.id)
    assert read.error == waited.error
    assert read.error.exception_class == "builtins.KeyError"
    assert "the missing key" in read.error.message
    assert "raise KeyError" in read.error.traceback


# F2: what people are shown


async def test_f2_1_f2_3_f2_4_the_command_line_goes_by_the_state_alone(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        commands = [taskline(stack.address, "result", task_id) for task_id in ids.values()]
        shown = dict(zip(ids, await asyncio.gather(*commands), strict=True))

    assert set(shown) == set(State.values()) - {State.STATE_UNSPECIFIED}
    for state in STILL_OPEN:
        name = State.Name(state).removeprefix("STATE_")
        assert (shown[state].code, shown[state].out) == (5, "")
        assert shown[state].err.splitlines() == [
            f"taskline: task {ids[state]} has not ended",
            f"taskline: it is {name}; follow it with:",
            f"  taskline watch --address {stack.address} {ids[state]}",
        ]
    assert shown[State.STATE_COMPLETED] == Ran(0, "null\n", "")
    failed, cancelled = shown[State.STATE_FAILED], shown[State.STATE_CANCELLED]
    assert (failed.code, failed.out, cancelled.code, cancelled.out) == (1, "", 4, "")
    assert f"task {ids[State.STATE_FAILED]} FAILED: ValueError: no good\n" in failed.err
    assert f"task {ids[State.STATE_CANCELLED]} CANCELLED: the task was cancelled\n" in cancelled.err


async def test_f2_1_every_task_is_listed_in_its_own_state(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        rows = (await taskline(stack.address, "list", "-o", "jsonl")).out.splitlines()

    assert {row["id"]: row["state"] for row in map(json.loads, rows)} == {
        task_id: State.Name(state) for state, task_id in ids.items()
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Task, pb.Task),
        (TaskError, pb.TaskError),
        (Progress, pb.Progress),
        (client_types.Attempt, pb.Attempt),
        (client_types.RetryPolicy, pb.RetryPolicy),
    ],
)
def test_f2_2_the_client_reads_only_fields_of_the_contract(
    value: type[Any], message: type[Message]
) -> None:
    names = {field.name for field in dataclasses.fields(value)}

    assert names == set(message.DESCRIPTOR.fields_by_name)


async def test_f2_2_the_server_sends_every_field_that_the_client_reads(stack: Stack) -> None:
    @stack.tasks.task("busy", initial_backoff=timedelta(milliseconds=1))
    async def busy(ctx: TaskContext, *, fails: bool) -> str:
        await ctx.progress.set_total(2)
        await ctx.progress.increment()
        await ctx.progress.set_message("half")
        if fails or ctx.attempt == 1:
            raise ConnectionError("not yet")
        return "done"

    @stack.tasks.task("cancelled.later")
    async def cancelled_later() -> None: ...

    options = service.EnqueueRequest(
        task_type="busy",
        priority=3,
        labels={"k": "v"},
        trace_context={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"},
        retry_policy=pb.RetryPolicy(max_attempts=2),
    )
    options.queue_timeout.FromTimedelta(timedelta(hours=1))
    succeeds, fails = service.EnqueueRequest(), service.EnqueueRequest()
    for request, input_ in ((succeeds, b'{"fails": false}'), (fails, b'{"fails": true}')):
        request.CopyFrom(options)
        request.input.json_bytes = input_
    waiting = await enqueue(stack, "cancelled.later", delay=timedelta(hours=1))
    await stack.stub.CancelTask(service.CancelTaskRequest(task_id=waiting.id))
    async with stack.worker():
        ids = [(await stack.stub.Enqueue(request)).task.id for request in (succeeds, fails)]
        for task_id in ids:
            await result_within(stack, task_id)

    tasks = [await stack.client.get(task_id) for task_id in [*ids, waiting.id]]

    never_sent = [
        field.name
        for field in dataclasses.fields(Task)
        if all(getattr(task, field.name) in (None, "", 0, {}, ()) for task in tasks)
    ]
    assert never_sent == []
