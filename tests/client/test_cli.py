"""The command line as a person runs it: a process, its two outputs, its exit code."""

import asyncio
import json
import os
import pty
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskFailure
from tests.client.conftest import Serve
from tests.client.scripted import Context, ScriptedServer, completed, progress, refuse, snapshot
from tests.requirements.shell import Terminal
from tests.stack import Stack

PROTOS = Path(__file__).parents[2] / "protos"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


async def start(*command: str, address: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TASKLINE_ADDRESS": address},
    )


async def run(*command: str, address: str, stdin: bytes = b"") -> Ran:
    process = await start(*command, address=address)
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def taskline(*arguments: str, address: str = "127.0.0.1:1", stdin: bytes = b"") -> Ran:
    command = (sys.executable, "-m", "taskline_client.cli", *arguments)
    return await run(*command, address=address, stdin=stdin)


def enqueuing(requests: list[service.EnqueueRequest]) -> Any:
    async def enqueue(request: service.EnqueueRequest, _: Context) -> service.EnqueueResponse:
        requests.append(request)
        task = pb.Task(id=request.task_id or "t", task_type=request.task_type, queue="default")
        return service.EnqueueResponse(task=task, created=True)

    return enqueue


def answering(answer: service.GetResultResponse) -> Any:
    async def get_result(_: service.GetResultRequest, __: Context) -> service.GetResultResponse:
        return answer

    return get_result


def watching(*events: pb.TaskEvent) -> Any:
    async def watch(_: service.WatchRequest, __: Context) -> AsyncIterator[pb.TaskEvent]:
        for event in events:
            yield event

    return watch


def failed(message: str, state: pb.Task.State.ValueType = pb.Task.STATE_FAILED) -> Any:
    error = pb.TaskError(exception_class="builtins.ValueError", message=message, traceback="Tb:")
    return service.GetResultResponse(task=pb.Task(id="t", state=state), error=error)


async def test_values_are_json_where_they_are_and_text_where_not(serve: Serve) -> None:
    requests: list[service.EnqueueRequest] = []
    server = await serve(Enqueue=enqueuing(requests))
    options = (
        *("--task-id", "x", "--queue", "q", "--priority", "3", "--delay", "1.5"),
        *("--label", "a=b", "--label", "c=d=e"),
    )
    arguments = ["n=9007199254740993", "path=a b.txt", 'text="5"', "flag=true", "bad=NaN", "s=ü=1"]

    ran = await taskline("enqueue", "demo.any", *arguments, *options, address=server.address)

    (request,) = requests
    assert ran == Ran(0, "x enqueued: demo.any on queue default\n", "")
    assert json.loads(request.input.json_bytes) == {
        "n": 9007199254740993,
        "path": "a b.txt",
        "text": "5",
        "flag": True,
        "bad": "NaN",
        "s": "ü=1",
    }
    assert request.request_id
    request.ClearField("input")
    request.ClearField("request_id")
    assert request == service.EnqueueRequest(
        task_type="demo.any",
        task_id="x",
        queue="q",
        priority=3,
        delay=Duration(seconds=1, nanos=500_000_000),
        labels={"a": "b", "c": "d=e"},
        conflict_policy=service.CONFLICT_POLICY_REJECT,
    )


async def test_a_whole_input_comes_from_text_a_file_or_standard_input(
    serve: Serve, tmp_path: Path
) -> None:
    requests: list[service.EnqueueRequest] = []
    server = await serve(Enqueue=enqueuing(requests))
    file = tmp_path / "input.json"
    file.write_bytes(b"[ 1.50 ]")

    for json_input in ("[ 1.50 ]", f"@{file}", "-"):
        ran = await taskline(
            *("enqueue", "demo.any", "-o", "id", "--json", json_input),
            address=server.address,
            stdin=b"[ 1.50 ]",
        )
        assert ran == Ran(0, "t\n", "")

    assert [request.input.json_bytes for request in requests] == [b"[ 1.50 ]"] * 3


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("enqueue", "demo.any", "--json", "{"), id="not JSON"),
        pytest.param(("enqueue", "demo.any", "--json", "{}", "a=1"), id="two inputs"),
        pytest.param(("enqueue", "demo.any", "a"), id="not KEY=VALUE"),
        pytest.param(("enqueue", "demo.any", "a=1", "a=2"), id="a key twice"),
        pytest.param(
            ("enqueue", "demo.any", "--label", "a=1", "--label", "a=2"), id="a label twice"
        ),
        pytest.param(("enqueue", "demo.any", "--json", "@/nowhere"), id="no file"),
        pytest.param(("enqueue", "demo.any", "--max-attempts", "0"), id="no attempts"),
        pytest.param(("enqueue", "demo.any", "--max-attempts", "-2"), id="fewer than none"),
        pytest.param(("stubs", ""), id="an unset variable for a server"),
        pytest.param(("list", "--address", ""), id="an unset variable for an address"),
        pytest.param(("list", "--state", "happy"), id="no such state"),
        pytest.param(("fly",), id="no such command"),
    ],
)
async def test_wrong_usage_exits_with_2(arguments: Sequence[str]) -> None:
    ran = await taskline(*arguments)

    assert ran.code == 2
    assert ran.err and "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        (grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND", 3),
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", 2),
        (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", 6),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", 7),
    ],
)
async def test_a_refused_call_is_one_line_and_an_exit_code(
    serve: Serve, code: grpc.StatusCode, reason: str, exit_code: int
) -> None:
    async def get_task(_: service.GetTaskRequest, context: Context) -> Any:
        await refuse(context, code, reason, message="\x1b[31mno\x07 way")

    server = await serve(GetTask=get_task)

    ran = await taskline("get", "t", address=server.address)

    assert ran == Ran(exit_code, "", "taskline: no way\n")


async def test_each_wrong_field_has_a_line(serve: Serve) -> None:
    async def enqueue(_: service.EnqueueRequest, context: Context) -> Any:
        violations = [("input.width", "must be positive"), ("input.path", "required")]
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        await refuse(context, invalid, "INVALID_INPUT", violations=violations)

    server = await serve(Enqueue=enqueue)

    ran = await taskline("enqueue", "demo.any", address=server.address)

    assert ran.code == 2
    assert ran.err.splitlines() == [
        "taskline: the request is not valid",
        "  input.width: must be positive",
        "  input.path: required",
    ]


async def test_an_argument_that_should_have_been_text_is_shown_as_text(serve: Serve) -> None:
    async def enqueue(_: service.EnqueueRequest, context: Context) -> Any:
        texts = [(f"input.{name}", "must be a string") for name in ("code", "flag", "list", "no")]
        violations = [*texts, ("input.age", "must be positive")]
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        await refuse(context, invalid, "INVALID_INPUT", violations=violations)

    server = await serve(Enqueue=enqueue)
    arguments = ("code=007", "flag=true", 'list=["a b"]', "no=x", "age=-1")

    for command in ("enqueue", "run"):
        ran = await taskline(command, "demo.any", *arguments, address=server.address)

        assert ran.code == 2
        assert ran.err.splitlines()[1:] == [
            "  input.code: must be a string",
            "  input.flag: must be a string; it was read as JSON, as text it is 'flag=\"true\"'",
            "  input.list: must be a string; it was read as JSON, as text it is "
            + r"""'list="[\"a b\"]"'""",
            "  input.no: must be a string",
            "  input.age: must be positive",
        ]


async def test_no_server_exits_with_6_at_once() -> None:
    ran = await taskline("queues", address="127.0.0.1:1")

    assert ran == Ran(6, "", "taskline: no Taskline server answers at 127.0.0.1:1\n")


async def test_a_result_is_printed_as_it_is_stored(serve: Serve) -> None:
    done = service.GetResultResponse(
        task=pb.Task(id="t", state=pb.Task.STATE_COMPLETED),
        result=pb.Payload(json_bytes='{"n": 9007199254740993, "é": null}'.encode()),
    )
    server = await serve(GetResult=answering(done))

    ran = await taskline("result", "t", address=server.address)

    assert ran == Ran(0, '{"n": 9007199254740993, "é": null}\n', "")


@pytest.mark.parametrize(("state", "exit_code"), [("FAILED", 1), ("CANCELLED", 4)])
async def test_a_task_that_did_not_complete_has_its_exit_code(
    serve: Serve, state: str, exit_code: int
) -> None:
    ended = failed("bad\x1b]0;x\x07 luck", pb.Task.State.Value(f"STATE_{state}"))
    server = await serve(GetResult=answering(ended))

    ran = await taskline("result", "t", address=server.address)

    message = f"taskline: task t {state}: ValueError: bad luck\n"
    facts = "error_type: unknown\nis_retryable: false\n"
    assert ran == Ran(exit_code, "", f"{message}{facts}Tb:\n")


async def test_of_an_error_its_kind_whether_it_is_retryable_and_its_details_are_shown(
    stack: Stack,
) -> None:
    @stack.tasks.task("sell", max_attempts=1)
    async def sell() -> None:
        raise TaskFailure("sold out", details={"sku": "7\x1b[2Jü"}, retryable=False)

    facts = [
        ("error_type:", "runtime"),
        ("is_retryable:", "false"),
        ("details:", '{"sku": "7\\u001b[2Jü"}'),
    ]
    async with stack.worker():
        ran = await taskline("run", "sell", "--task-id", "t", address=stack.address)
        result = await taskline("result", "t", address=stack.address)
        got = await taskline("get", "t", address=stack.address)

    for name, value in facts:
        assert f"{name} {value}" in result.err.splitlines()
        assert f"{name} {value}" in ran.err.splitlines()
        assert [name.rstrip(":"), value] in [
            line.split(maxsplit=1) for line in got.out.splitlines()
        ]


async def test_a_result_that_does_not_come_in_time_says_what_to_do(serve: Serve) -> None:
    running = service.GetResultResponse(
        task=pb.Task(id="t", state=pb.Task.STATE_RUNNING), wait_timed_out=True
    )
    server = await serve(GetResult=answering(running))

    ran = await taskline("result", "t", "--timeout", "0.3", address=server.address)

    assert ran.code == 5
    assert ran.err.splitlines() == [
        "taskline: task t did not complete within 0.3 seconds",
        "taskline: it is RUNNING; follow it with:",
        "  taskline watch t",
    ]


async def test_watch_writes_a_plain_line_per_event(serve: Serve) -> None:
    change = pb.TaskEvent.StateChanged(state=pb.Task.STATE_RUNNING, attempts=1, worker="host:7")
    server = await serve(
        Watch=watching(
            snapshot("t", pb.Task.STATE_QUEUED),
            pb.TaskEvent(task_id="t", state_changed=change),
            progress("t", 60, 100),
            pb.TaskEvent(task_id="t", log=pb.TaskEvent.LogEntry(message="\x1b[2Jhalf\nway")),
            completed("t", b"1"),
        )
    )

    ran = await taskline("watch", "t", address=server.address)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "t QUEUED demo.sleep",
        "t RUNNING worker=host:7 attempt=1",
        "t 60/100 (60.0%) at 60",
        "t log: half way",
        "t COMPLETED",
    ]


async def test_watch_draws_a_bar_on_a_terminal(serve: Serve) -> None:
    log = pb.TaskEvent.LogEntry(message="[red]half\x1b[2J way")
    server = await serve(
        Watch=watching(
            snapshot("t", pb.Task.STATE_RUNNING),
            progress("t", 60, 100),
            pb.TaskEvent(task_id="t", log=log),
            completed("t", b"1"),
        )
    )
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskline_client.cli", "watch", "t"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TASKLINE_ADDRESS": server.address, "TERM": "xterm", "COLUMNS": "120"},
    )

    code = await process.wait()
    screen = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)

    assert code == 0
    assert "60/100 (60.0%)  at 60" in screen
    assert "t log: [red]half way" in screen
    assert "COMPLETED" in screen


async def test_watch_exits_as_the_worst_of_its_tasks_ended(serve: Serve) -> None:
    error = pb.TaskError(message="no")
    ends = [
        pb.TaskEvent(task_id=task_id, ended=pb.TaskEvent.Ended(state=state, error=error))
        for task_id, state in (("a", pb.Task.STATE_CANCELLED), ("b", pb.Task.STATE_FAILED))
    ]
    server = await serve(Watch=watching(*ends))

    ran = await taskline("watch", "a", "b", address=server.address)

    assert ran.code == 1


async def test_ctrl_c_stops_watching_and_says_how_to_come_back(serve: Serve) -> None:
    left = asyncio.Event()

    async def watch(_: service.WatchRequest, __: Context) -> AsyncIterator[pb.TaskEvent]:
        try:
            yield snapshot("t", pb.Task.STATE_RUNNING)
            await asyncio.Event().wait()
        finally:
            left.set()

    server = await serve(Watch=watch)
    command = (sys.executable, "-m", "taskline_client.cli", "watch", "t")
    process = await start(*command, address=server.address)
    assert process.stdout
    await process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()

    assert process.returncode == 130
    assert err.decode().splitlines() == [
        "taskline: stopped watching; the task goes on. Come back with:",
        "  taskline watch t",
    ]
    await left.wait()


async def outlasted(request: service.WatchRequest, _: Context) -> AsyncIterator[pb.TaskEvent]:
    """A watch of a task that ends only once it is continued."""
    if not request.resume_token:
        yield snapshot("t", pb.Task.STATE_RUNNING, token="1")
        await asyncio.Event().wait()
    yield completed("t", b"0", token="2")


async def test_watch_says_that_the_server_is_gone_and_that_it_is_back(serve: Serve) -> None:
    first = await serve(Watch=outlasted)
    command = (sys.executable, "-m", "taskline_client.cli", "watch", "t")
    process = await start(*command, address=first.address)
    assert process.stdout
    await process.stdout.readline()

    await first.stop()
    assert process.stderr
    gone = (await process.stderr.readline()).decode()
    second = ScriptedServer(first.address, Watch=outlasted)
    await second.start()
    rest, back = await process.communicate()
    await second.stop()

    assert process.returncode == 0
    assert gone.startswith("taskline: the server is gone (")
    assert gone.endswith("); trying again\n")
    assert back.decode() == "taskline: the server is back\n"
    assert rest.decode() == "t COMPLETED\n"


async def test_on_a_terminal_the_bars_do_not_cover_that_the_server_is_gone(serve: Serve) -> None:
    first = await serve(Watch=outlasted)
    async with Terminal.running(first.address, "watch", "t", columns=200) as terminal:
        await terminal.until("RUNNING")
        await first.stop()
        await terminal.until("trying again")
        second = ScriptedServer(first.address, Watch=outlasted)
        await second.start()
        code = await terminal.end()
        await second.stop()

    assert code == 0
    # Where the bars were until they were erased to be drawn below it.
    assert re.search(r"\x1b\[2Ktaskline: the server is gone \(.*\); trying again", terminal.written)
    assert re.search(r"\x1b\[2Ktaskline: the server is back", terminal.written)


async def test_run_follows_the_task_and_prints_its_result(serve: Serve) -> None:
    done = service.GetResultResponse(
        task=pb.Task(id="t", state=pb.Task.STATE_COMPLETED),
        result=pb.Payload(json_bytes=b"[1]"),
    )
    server = await serve(
        Enqueue=enqueuing([]),
        Watch=watching(snapshot("t", pb.Task.STATE_QUEUED), completed("t", b"[1]")),
        GetResult=answering(done),
    )

    ran = await taskline("run", "demo.any", address=server.address)

    assert ran == Ran(0, "[1]\n", "t QUEUED demo.sleep\nt COMPLETED\n")


async def test_run_shows_what_happened_before_it_could_watch(serve: Serve) -> None:
    async def enqueue(request: service.EnqueueRequest, _: Context) -> service.EnqueueResponse:
        task = pb.Task(id="t", task_type=request.task_type, state=pb.Task.STATE_QUEUED)
        task.resume_token = "1"
        return service.EnqueueResponse(task=task, created=True)

    async def watch(request: service.WatchRequest, _: Context) -> AsyncIterator[pb.TaskEvent]:
        if request.resume_token == "1":
            yield pb.TaskEvent(task_id="t", output=pb.Payload(json_bytes=b"7"))
        yield completed("t", b"[1]")

    done = service.GetResultResponse(
        task=pb.Task(id="t", state=pb.Task.STATE_COMPLETED),
        result=pb.Payload(json_bytes=b"[1]"),
    )
    server = await serve(Enqueue=enqueue, Watch=watch, GetResult=answering(done))

    ran = await taskline("run", "demo.any", address=server.address)

    assert ran == Ran(0, "[1]\n", "t QUEUED demo.any\nt output: 7\nt COMPLETED\n")


async def test_list_prints_aligned_columns_and_the_next_page(serve: Serve) -> None:
    requests: list[service.ListTasksRequest] = []

    async def list_tasks(request: service.ListTasksRequest, _: Context) -> Any:
        requests.append(service.ListTasksRequest.FromString(request.SerializeToString()))
        task = pb.Task(id="long-id", task_type="demo.any", queue="q", state=pb.Task.STATE_QUEUED)
        return service.ListTasksResponse(tasks=[task], next_page_token="more")

    server = await serve(ListTasks=list_tasks)
    options = ("--state", "queued", "--queue", "q", "--type", "demo.any", "--limit", "2")

    ran = await taskline("list", *options, address=server.address)

    assert ran.out.splitlines() == [
        "ID       TASK_TYPE  QUEUE  STATE   ATTEMPTS  PROGRESS  CREATE_TIME  ERROR",
        "long-id  demo.any   q      QUEUED  0",
        "long-id  demo.any   q      QUEUED  0",
    ]
    assert ran.err.splitlines() == [
        "taskline: 2 shown; for the next ones add:",
        "  --page-token more",
    ]
    assert [(request.page_size, request.page_token) for request in requests] == [
        (2, ""),
        (1, "more"),
    ]
    assert requests[0].filter == service.TaskFilter(
        states=[pb.Task.STATE_QUEUED], queues=["q"], task_types=["demo.any"]
    )


async def test_the_deployment_is_shown_in_tables(serve: Serve) -> None:
    async def types(_: object, __: Context) -> Any:
        task_type = pb.TaskType(name="demo.any", queue="q", description="Does it.\n\nMore.")
        return service.ListTaskTypesResponse(task_types=[task_type])

    async def queues(_: object, __: Context) -> Any:
        return admin.ListQueuesResponse(queues=[admin.Queue(name="q", queued_count=3)])

    async def workers(_: object, __: Context) -> Any:
        worker = admin.Worker(id="w", concurrency=8, running_task_ids=list("abcd"))
        return admin.ListWorkersResponse(workers=[worker])

    server = await serve(ListTaskTypes=types, ListQueues=queues, ListWorkers=workers)

    shown = [
        await taskline(name, address=server.address) for name in ("types", "queues", "workers")
    ]

    assert [ran.code for ran in shown] == [0, 0, 0]
    assert shown[0].out.splitlines()[1] == "demo.any  q      Does it."
    assert shown[1].out.splitlines()[1].split() == ["q", "open", "3", "0", "0"]
    assert shown[2].out.splitlines()[1].split() == [
        "w",
        "working",
        "4/8",
        "all",
        *["a,b,c", "and", "1", "more"],
    ]


async def test_the_worker_of_a_task_is_shown_beside_its_state(serve: Serve) -> None:
    async def get_task(_: service.GetTaskRequest, __: Context) -> service.GetTaskResponse:
        task = pb.Task(id="t", state=pb.Task.STATE_FAILED, worker="host-7")
        return service.GetTaskResponse(task=task)

    server = await serve(GetTask=get_task)

    ran = await taskline("get", "t", address=server.address)

    rows = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert (rows["state"], rows["worker"]) == ("FAILED", "host-7")


async def test_jsonl_is_a_line_for_each_of_what_is_listed(serve: Serve) -> None:
    async def types(_: object, __: Context) -> Any:
        return service.ListTaskTypesResponse(task_types=[pb.TaskType(name=n) for n in "ab"])

    async def queues(_: object, __: Context) -> Any:
        return admin.ListQueuesResponse(queues=[admin.Queue(name=n) for n in "ab"])

    async def workers(_: object, __: Context) -> Any:
        return admin.ListWorkersResponse(workers=[admin.Worker(id=n) for n in "ab"])

    server = await serve(ListTaskTypes=types, ListQueues=queues, ListWorkers=workers)

    for command, name in (("types", "name"), ("queues", "name"), ("workers", "id")):
        ran = await taskline(command, "-o", "jsonl", address=server.address)

        assert [json.loads(line) for line in ran.out.splitlines()] == [{name: "a"}, {name: "b"}]


async def test_help_and_version_need_no_server() -> None:
    help_text, version = await taskline("--help"), await taskline("version")

    assert help_text.code == 0 and "enqueue" in help_text.out
    assert version.code == 0 and version.out.startswith("taskline ")


async def test_without_its_libraries_it_prints_the_line_that_installs_them() -> None:
    code = "import sys; sys.modules['typer'] = None; from taskline_client.cli import main; main()"

    ran = await run(sys.executable, "-c", code, address="")

    assert ran.code == 2
    assert (
        ran.err == "taskline: the command line needs typer: pip install '/path/to/taskline[cli]'\n"
    )


def awkward_task() -> pb.Task:
    numbers = [1, 2.5, -0.00001, 1e-7, 2.5e-9, 1e20, 1e21, 123456789012345678901]
    details: dict[str, object] = {"numbers": numbers, "deep": {}, "rest": [None, [], "x", True]}
    return json_format.ParseDict(
        {
            "id": "t",
            "state": "STATE_FAILED",
            "createTime": "2026-01-31T10:00:00.000005Z",
            "labels": {"b": "<&>", "a": "é\u2028", "c": "\x01\x7f\b\f"},
            "executionTimeout": "1.5s",
            "progress": {"current": 1e21, "total": 1e-7, "percentage": 33.33},
            "resultSize": 2**62,
            "error": {"errorType": 99, "details": details},
            "input": {"json": {"x": [True]}},
            "attemptHistory": [{"number": 1}, {}],
        },
        pb.Task(),
    )


@pytest.mark.skipif(not shutil.which("grpcurl"), reason="grpcurl is not installed")
async def test_json_is_exactly_what_grpcurl_prints(serve: Serve) -> None:
    async def get_task(_: service.GetTaskRequest, __: Context) -> service.GetTaskResponse:
        return service.GetTaskResponse(task=awkward_task())

    numbers = (1e21, 1.5e22, 123456789.0, 1e6, 999999.5, 100.0, 0.0001, 0.00001, 1.25e-9)
    events = [pb.TaskEvent(progress=pb.Progress(current=number)) for number in numbers]
    server = await serve(
        GetTask=get_task,
        Watch=watching(*events, snapshot("t", pb.Task.STATE_QUEUED), completed("t", b"1")),
    )
    grpcurl = ("grpcurl", "-plaintext", "-import-path", str(PROTOS))
    contract = ("-proto", "taskline/v1/task_service.proto")

    for ours, request, method in (
        (("get", "t"), '{"taskId": "t"}', "GetTask"),
        (("watch", "t"), '{"taskIds": ["t"]}', "Watch"),
    ):
        theirs = await run(
            *(*grpcurl, *contract, "-d", request, server.address),
            f"taskline.v1.TaskService/{method}",
            address="",
        )
        assert theirs.code == 0, theirs.err
        mine = await taskline(*ours, "-o", "json", address=server.address)
        assert mine == theirs
