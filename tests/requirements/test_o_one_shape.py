"""O28, O30-O32, O37, O38: errors and results have one shape, for everyone who looks."""

import ast
import re
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import events
from taskline_client._convert import error_from
from taskline_service.store import Redis, TaskStore, parse_redis_url
from tests.faults.proxy import Proxy
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.shell import taskline
from tests.requirements.wire import State, enqueue, get_result, get_task, listed, result_within
from tests.stack import Stack

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


async def test_o28_a_call_that_finds_no_store_is_unavailable_and_says_so(
    store: TaskStore, redis_url: str
) -> None:
    async with Proxy(parse_redis_url(redis_url)) as proxy:
        address = parse_redis_url(proxy.url)
        async with (
            Redis(address) as redis,
            Stack.running(TaskStore(redis, store.keys), address) as stack,
        ):
            proxy.refuse()
            proxy.reset()
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await stack.stub.GetTask(service.GetTaskRequest(task_id="t"))
            await proxy.accept()

    trailers = dict(failed.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (info.domain, info.reason) == ("taskline", "STORE_UNAVAILABLE")


async def test_o30_an_error_is_the_same_message_in_stub_client_and_command_line(
    stack: Stack,
) -> None:
    async with one_task_in_each_state(stack) as ids:
        task_id = ids[State.STATE_FAILED]
        on_the_wire = (await get_result(stack, task_id)).error
        typed = (await stack.client.get(task_id)).error
        shown = await taskline(stack.address, "result", task_id, "-o", "json")

    answer = json_format.Parse(shown.out, service.GetResultResponse())
    assert answer.error == on_the_wire
    assert typed == error_from(on_the_wire)
    assert (on_the_wire.exception_class, on_the_wire.message) == ("builtins.ValueError", "no good")


def test_o31_no_example_has_to_ask_what_shape_a_result_or_an_error_has() -> None:
    examples = [path.read_text("utf-8") for path in sorted((ROOT / "examples").glob("*.py"))]
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        examples += re.findall(r"^```python.*\n((?:.*\n)*?)```$", page.read_text("utf-8"), re.M)

    asked = {
        ast.unparse(call.args[1])
        for text in examples
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "isinstance"
    }
    assert len(examples) > 5
    # Of events, and of what `gather` returns, which is an error if it is none of the results.
    assert asked <= {name for name in vars(events) if name[0].isupper()} | {"TasklineError"}


async def test_o32_the_error_of_a_task_without_one_is_read_safely(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        fine = await get_task(stack, ids[State.STATE_COMPLETED])
        typed = await stack.client.get(ids[State.STATE_COMPLETED])
        failed = [task.error for task in await listed(stack) if task.HasField("error")]

    assert not fine.HasField("error")
    assert (fine.error.message, fine.error.error_type) == ("", pb.TaskError.TYPE_UNSPECIFIED)
    assert typed.error is None
    assert all(error.message and error.error_type for error in failed)


async def test_o37_how_a_task_stands_is_told_without_its_result(stack: Stack) -> None:
    @stack.tasks.task("large")
    async def large() -> str:
        return "x" * MIB

    async with stack.worker():
        task_id = (await result_within(stack, (await enqueue(stack, "large")).id)).task.id
    request = service.GetTaskRequest(task_id=task_id, view=pb.TASK_VIEW_BASIC)
    basic = await stack.stub.GetTask(request)
    page = await stack.stub.ListTasks(service.ListTasksRequest())

    assert max(basic.ByteSize(), page.ByteSize()) < 1000
    assert (basic.task.state, basic.task.attempts) == (State.STATE_COMPLETED, 1)
    assert basic.task.result_size == MIB + 2


async def test_o38_a_row_has_what_the_sentences_about_a_task_need(stack: Stack) -> None:
    async with one_task_in_each_state(stack):
        rows = {row.state: row for row in await listed(stack)}

    def sentence(row: pb.Task) -> str:
        match row.state:
            case State.STATE_QUEUED:
                return "waiting to be claimed"
            case State.STATE_RUNNING:
                return f"in progress (attempt {row.attempts})"
            case State.STATE_COMPLETED:
                return "completed"
            case _:
                return f"failed after {row.attempts} attempts: {row.error.message}"

    assert [
        sentence(rows[state])
        for state in (
            State.STATE_QUEUED,
            State.STATE_RUNNING,
            State.STATE_COMPLETED,
            State.STATE_FAILED,
        )
    ] == [
        "waiting to be claimed",
        "in progress (attempt 1)",
        "completed",
        "failed after 1 attempts: no good",
    ]
