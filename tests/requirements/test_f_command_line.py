"""F3, F7, F8.4, F12.1, F12.2, FT5, FT7: waiting and following at a shell."""

import asyncio
import json
import signal
from asyncio.subprocess import PIPE
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.protobuf import json_format

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import Ended, Progress, ProgressReported, TaskState, _results, handle
from taskline_client.cli.live import bar_of
from taskline_client.cli.watched import Watched
from taskline_service import TaskContext
from taskline_service.limits import LONGEST_WAIT
from taskline_service.rpc.interceptor import RpcInterceptor
from taskline_service.store import RedisAddress
from tests.faults.proxy import Proxy
from tests.requirements.shell import TASKLINE, taskline
from tests.requirements.wire import State, enqueue, get_task, result_within
from tests.stack import Stack

WAITING = [
    pytest.param(("--timeout", "2"), id="timeout"),
    pytest.param(("--wait", "--timeout", "2"), id="wait and timeout"),
]


async def never_run() -> None: ...


@pytest.mark.parametrize("options", WAITING)
async def test_f3_1_f3_2_f3_4_f7_1_f7_3_ft5_a_wait_of_the_command_line_is_over_when_it_says(
    stack: Stack, options: tuple[str, ...]
) -> None:
    stack.tasks.task("never.run")(never_run)
    task = await enqueue(stack, "never.run")

    async with asyncio.timeout(30):  # far below any default
        at_once = await taskline(stack.address, "result", task.id)
        waited = await taskline(stack.address, "result", task.id, *options)

    assert (at_once.code, waited.code) == (5, 5)
    assert at_once.err.splitlines()[0] == f"taskline: task {task.id} has not ended"
    assert waited.err.splitlines() == [
        f"taskline: task {task.id} did not complete within 2 seconds",
        "taskline: it is QUEUED; follow it with:",
        f"  taskline watch --address {stack.address} {task.id}",
    ]


async def test_f3_2_a_wait_without_timeout_lasts_until_the_end(stack: Stack) -> None:
    stack.tasks.task("never.run")(never_run)
    task = await enqueue(stack, "never.run")
    waiting = asyncio.create_task(taskline(stack.address, "result", task.id, "--wait"))
    while not stack.server._hubs.watched:
        await stack.state(task.id)
    async with stack.worker():
        ended = await waiting

    assert (ended.code, ended.out) == (0, "null\n")


async def test_f7_2_a31_c3_a_wait_is_five_minutes_long_unless_told_otherwise(stack: Stack) -> None:
    stack.tasks.task("never.run")(never_run)
    handle_ = await stack.client.enqueue("never.run")

    assert _results.longest_wait(None, None) == timedelta(seconds=300) == LONGEST_WAIT
    assert "5 minutes if neither is given" in (handle.TaskHandle.result.__doc__ or "")
    with pytest.raises(TimeoutError):
        await handle_.result(timeout=timedelta(milliseconds=20))


async def test_f7_4_ctrl_c_stops_watching_and_the_task_goes_on(stack: Stack) -> None:
    go = asyncio.Event()

    @stack.tasks.task("waits")
    async def waits() -> str:
        await go.wait()
        return "done"

    async with stack.worker():
        task = await enqueue(stack, "waits")
        process = await watching(stack.address, task.id)
        await lines_until("RUNNING", process)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        go.set()
        answer = await result_within(stack, task.id)

    assert process.returncode == 130
    assert "stopped watching; the task goes on" in err.decode()
    assert answer.result.json.string_value == "done"


@pytest.mark.parametrize("total", [None, 100.0])
@pytest.mark.parametrize("state", [s for s in TaskState if s.terminal])
def test_f8_4_a_bar_is_full_only_after_a_success(state: TaskState, total: float | None) -> None:
    about: Any = {"task_id": "t", "sequence": 1, "event_time": None, "resume_token": ""}
    current = 100.0 if total and state is TaskState.COMPLETED else 60.0
    share = Progress(current=current, total=total, percentage=0)
    task = Watched("t", state=TaskState.RUNNING)

    for event in (
        ProgressReported(**about, progress=share),
        Ended(**about, state=state, attempts=1),
    ):
        task.learn(event)

    bar = bar_of(task)
    expected = 100 if state is TaskState.COMPLETED else 60 if total else 0
    assert (bar.percentage_completed, bar.pulse) == (expected, False)


async def test_f12_1_who_watches_is_told_and_never_asks(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, called = asyncio.Event(), list[str]()
    intercept = RpcInterceptor.intercept_service

    async def note(self: RpcInterceptor, continuation: Any, details: Any) -> Any:
        called.append(details.method)
        return await intercept(self, continuation, details)

    @stack.tasks.task("waits")
    async def waits() -> None:
        await go.wait()

    async with stack.worker():
        task = await enqueue(stack, "waits")
        monkeypatch.setattr(RpcInterceptor, "intercept_service", note)
        process = await watching(stack.address, task.id)
        await lines_until("RUNNING", process)
        go.set()
        await process.communicate()

    assert process.returncode == 0
    assert called == ["/taskline.v1.TaskService/Watch"]


async def test_f12_2_a_watch_whose_connection_breaks_again_and_again_loses_nothing(
    stack: Stack,
) -> None:
    steps = asyncio.Queue[int]()

    @stack.tasks.task("steps")
    async def take(ctx: TaskContext) -> None:
        while (step := await steps.get()) < 6:
            await ctx.log(f"step {step}")

    host, port = stack.address.split(":")
    async with stack.worker(), Proxy(RedisAddress(host=host, port=int(port))) as proxy:
        task = await enqueue(stack, "steps")
        process = await watching(urlsplit(proxy.url).netloc, task.id)
        lines = await lines_until("RUNNING", process)
        cuts = 0
        for step in range(6):
            steps.put_nowait(step)
            if step % 2:  # also while nothing is on its way
                lines += await lines_until(f"log: step {step}", process)
            cuts += proxy.connections
            proxy.reset()
        steps.put_nowait(6)
        rest, _ = await process.communicate()

    assert cuts >= 3
    assert process.returncode == 0
    told = [line for line in lines + rest.decode().splitlines() if line.startswith(task.id)]
    story = [line.removeprefix(f"{task.id} ") for line in told]
    assert [line for line in story if line.startswith("log")] == [
        f"log: step {step}" for step in range(6)
    ]
    assert sum(line.startswith("COMPLETED") for line in story) == 1


async def test_ft7_every_field_is_the_same_from_the_store_to_the_command_line(
    stack: Stack,
) -> None:
    @stack.tasks.task("busy", queue="text", initial_backoff=timedelta(milliseconds=1))
    async def busy(ctx: TaskContext, *, name: str) -> dict[str, str]:
        await ctx.progress.set_total(2)
        await ctx.progress.increment()
        await ctx.progress.set_message("half")
        if ctx.attempt == 1:
            raise ConnectionError("not yet")
        return {"hello": name}

    async with stack.worker():
        enqueued = await taskline(
            stack.address,
            *("enqueue", "busy", "name=Ada", "--label", "k=v", "--priority", "3", "-o", "id"),
        )
        task_id = enqueued.out.strip()
        ended = await result_within(stack, task_id)
    shown = await taskline(stack.address, "get", task_id, "-o", "json")
    result = await taskline(stack.address, "result", task_id)
    listed = await taskline(stack.address, "list", "-o", "jsonl")

    on_the_wire = await get_task(stack, task_id)
    assert json_format.Parse(shown.out, service.GetTaskResponse()).task == on_the_wire
    assert {field.name for field, _ in ended.task.ListFields()} <= {
        field.name for field, _ in on_the_wire.ListFields()
    }
    row = json_format.Parse(listed.out, pb.Task())
    for name in ("id", "uid", "state", "attempts", "progress", "labels", "worker", "end_time"):
        assert getattr(row, name) == getattr(on_the_wire, name)
    stored = await stack.store.get(task_id, full=True)
    assert (stored.spec.input, stored.spec.priority) == (b'{"name": "Ada"}', on_the_wire.priority)
    assert (stored.end_us, stored.attempts) == (on_the_wire.end_time.ToMicroseconds(), 2)
    assert json.loads(result.out) == {"hello": "Ada"}
    assert on_the_wire.state == State.STATE_COMPLETED


# What the tests above have in common


async def watching(address: str, task_id: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        TASKLINE, "watch", task_id, "--address", address, stdout=PIPE, stderr=PIPE
    )


async def lines_until(text: str, process: asyncio.subprocess.Process) -> list[str]:
    """What it prints, up to the first line that has this text."""
    assert process.stdout
    lines = list[str]()
    async with asyncio.timeout(20):
        while not lines or text not in lines[-1]:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended without {text!r}: {lines}"
            lines.append(line.strip())
    return lines
