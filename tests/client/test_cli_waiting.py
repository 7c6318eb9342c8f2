"""`wait`, `watch`, `run` and `result` with a timeout, and what their exit codes say."""

import asyncio
import signal
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import _watch
from taskline_client.cli.connecting import connected
from taskline_client.cli.following import Followed, follow_tasks
from taskline_client.cli.options import Output
from tests.client.conftest import Serve
from tests.client.scripted import Context, completed, refuse, snapshot
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.shell import TASKLINE, taskline
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
        pytest.param(("wait", "t"), "within 0.3 seconds how task t ended: the server ", id="wait"),
        pytest.param(("watch", "t"), "within 0.3 seconds how task t ended: the ", id="watch"),
        pytest.param(("wait", "t", "u"), "within 0.3 seconds how the tasks ended", id="several"),
        pytest.param(("result", "t"), "did not answer within 0.3 seconds", id="result"),
        pytest.param(("run", "demo.any"), "--request-id ", id="run"),
    ],
)
async def test_a_wait_is_over_also_if_the_server_never_answers_and_tells_no_more_than_it_knows(
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

    assert ran.code == 6
    assert said in ran.err
    assert "go on" not in ran.err and "goes on" not in ran.err


async def test_a_wait_without_a_store_says_so_and_how_to_come_back(serve: Serve) -> None:
    async def no_store(_: object, context: Context) -> Any:
        message = "cannot reach the store"
        await refuse(context, grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", message=message)
        yield snapshot("t", pb.Task.STATE_QUEUED)

    server = await serve(Watch=no_store)

    ran = await taskline(server.address, "wait", "t", "--timeout", "1")

    assert ran.code == 6
    lost = "taskline: could not learn within 1 second how task t ended: cannot reach the store"
    assert ran.err.splitlines()[-4:] == [
        lost,
        "taskline: find out why, and come back, with:",
        f"  taskline doctor --address {server.address}",
        f"  taskline watch --address {server.address} t",
    ]


async def test_a_wait_that_a_server_left_says_that_and_not_how_the_task_fares(
    serve: Serve,
) -> None:
    async def begin(request: service.WatchRequest, context: Context) -> Any:
        if not request.resume_token:
            yield snapshot("t", pb.Task.STATE_RUNNING, token="1")
        await refuse(context, grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", message="no store")

    server = await serve(Watch=begin)

    ran = await taskline(server.address, "wait", "t", "--timeout", "2")

    assert (ran.code, "RUNNING" in ran.err) == (6, False)


async def test_whoever_gives_up_after_a_long_outage_is_told_how_to_come_back(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def watch(_: object, __: Context) -> Any:
        yield snapshot("t", pb.Task.STATE_RUNNING)
        broken.set()
        await asyncio.Event().wait()

    broken = asyncio.Event()
    server = await serve(Watch=watch)
    monkeypatch.setattr(_watch, "_LONGEST_OUTAGE", timedelta(seconds=0.3))
    async with connected(server.address) as connection:
        followed = Followed(task_ids=["t"])
        following = asyncio.create_task(follow_tasks(connection, followed, Output.TABLE))
        await broken.wait()
        await server.stop()
        code = await following

    assert code == 6
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "taskline: find out why, and come back, with:",
        f"  taskline doctor --address {server.address}",
        f"  taskline watch --address {server.address} t",
    ]


async def test_after_ctrl_c_the_way_back_is_to_the_tasks_that_go_on(serve: Serve) -> None:
    async def one_ends(_: object, __: Context) -> Any:
        yield snapshot("goes-on", pb.Task.STATE_RUNNING)
        yield completed("ended", b"1")
        await asyncio.Event().wait()

    server = await serve(Watch=one_ends)
    process = await asyncio.create_subprocess_exec(
        *(TASKLINE, "watch", "ended", "goes-on", "--address", server.address),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout
    async for line in process.stdout:
        if line.startswith(b"ended COMPLETED"):
            break
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()

    assert process.returncode == 130
    assert err.decode().splitlines() == [
        "taskline: stopped watching; the task goes on. Come back with:",
        f"  taskline watch --address {server.address} goes-on",
    ]


async def test_ctrl_c_while_a_result_is_waited_for_says_how_to_come_back(serve: Serve) -> None:
    async def forever(_: object, __: Context) -> Any:
        asked.set()
        await asyncio.Event().wait()

    asked = asyncio.Event()
    server = await serve(GetResult=forever)
    process = await asyncio.create_subprocess_exec(
        *(TASKLINE, "result", "t", "--wait", "--address", server.address), stderr=PIPE
    )
    await asked.wait()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()

    assert process.returncode == 130
    assert err.decode().splitlines() == [
        "taskline: stopped waiting; the task goes on. Come back with:",
        f"  taskline watch --address {server.address} t",
    ]


async def test_ctrl_c_while_a_command_is_imported_ends_it_quietly(tmp_path: Path) -> None:
    # Stands for any import: it takes so long that the signal is sure to meet it.
    (tmp_path / "typer.py").write_text(
        "print(flush=True)\nimport threading\nthreading.Event().wait()"
    )
    process = await asyncio.create_subprocess_exec(
        *(TASKLINE, "list"), stdout=PIPE, stderr=PIPE, env={"PYTHONPATH": str(tmp_path)}
    )
    assert process.stdout
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()

    assert (process.returncode, err) == (130, b"")


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
