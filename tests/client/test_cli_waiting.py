"""`wait`, `watch`, `run` and `result` with a timeout, and what their exit codes say."""

import asyncio
from datetime import timedelta
from time import monotonic
from typing import Any

import grpc
import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from tests.client.conftest import Serve
from tests.client.scripted import Context, refuse, snapshot
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.shell import taskline
from tests.requirements.wire import State, enqueue
from tests.stack import Stack

# Starting the program takes its time on a busy machine; waiting for a default would take far more.
SLACK = timedelta(seconds=20)


async def never_run() -> None: ...


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("wait", "ID"), id="wait"),
        pytest.param(("watch", "ID"), id="watch"),
        pytest.param(("result", "ID"), id="result"),
        pytest.param(("run", "never.run"), id="run"),
    ],
)
async def test_f3_1_f7_1_a_command_that_waits_is_over_when_it_says_and_tells_what_to_do(
    stack: Stack, command: tuple[str, ...]
) -> None:
    stack.tasks.task("never.run")(never_run)
    task = await enqueue(stack, "never.run")
    words = [task.id if word == "ID" else word for word in command]

    began = monotonic()
    ran = await taskline(stack.address, *words, "--timeout", "2")

    assert ran.code == 5
    assert timedelta(seconds=2) <= timedelta(seconds=monotonic() - began) < SLACK
    assert "did not complete within 2 seconds" in ran.err
    assert "QUEUED" in ran.err and "taskline watch " in ran.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(("wait", "t"), "did not complete within 0.3 seconds", id="wait"),
        pytest.param(("watch", "t"), "did not complete within 0.3 seconds", id="watch"),
        pytest.param(("result", "t"), "did not answer within 0.3 seconds", id="result"),
        pytest.param(("run", "demo.any"), "--request-id ", id="run"),
    ],
)
async def test_a_wait_is_over_also_if_the_server_never_answers(
    serve: Serve, command: tuple[str, ...], said: str
) -> None:
    async def forever(_: object, __: Context) -> Any:
        await asyncio.Event().wait()

    async def silence(_: object, __: Context) -> Any:
        await asyncio.Event().wait()
        yield snapshot("t", pb.Task.STATE_QUEUED)

    server = await serve(Enqueue=forever, GetResult=forever, Watch=silence)

    async with asyncio.timeout(SLACK.total_seconds()):
        ran = await taskline(server.address, *command, "--timeout", "0.3")

    assert ran.code == 5
    assert said in ran.err


async def test_the_exit_code_says_how_a_task_ended(stack: Stack) -> None:
    codes = {State.STATE_COMPLETED: 0, State.STATE_FAILED: 1, State.STATE_CANCELLED: 4}
    async with one_task_in_each_state(stack) as ids:
        ran = {
            (command, state): await taskline(stack.address, command, ids[state])
            for command in ("wait", "watch", "result")
            for state in codes
        }
        together = await taskline(stack.address, "wait", *(ids[state] for state in codes))
    nowhere = await taskline(stack.address, "wait", "nowhere")
    nobody = await taskline("127.0.0.1:1", "wait", "t")

    assert {key: each.code for key, each in ran.items()} == {
        (command, state): codes[state] for command in ("wait", "watch", "result") for state in codes
    }
    assert together.code == 1
    assert sorted(line.split()[1] for line in together.out.splitlines()) == [
        "CANCELLED",
        "COMPLETED",
        "FAILED",
    ]
    assert (nowhere.code, nobody.code) == (3, 6)


async def test_what_is_not_allowed_has_a_code_of_its_own(serve: Serve) -> None:
    async def list_tasks(_: service.ListTasksRequest, context: Context) -> Any:
        await refuse(context, grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")

    server = await serve(ListTasks=list_tasks)

    assert (await taskline(server.address, "list")).code == 7
