"""What Taskline survives: killed processes, restarts, a full store, tasks that misbehave."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import admin_service_pb2, task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.admin_service_pb2 import ListWorkersRequest
from taskline.v1.admin_service_pb2_grpc import AdminServiceStub
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_client import TaskFailed
from taskline_service import TaskContext
from taskline_service.store import TaskStore
from taskline_service.store.values import EnqueueStatus, NewTask
from taskline_service.task import TaskSpec, TaskState
from taskline_service.worker import attempt
from tests.stack import Stack
from tests.store.making import reach, states

_TASKS = '''
import asyncio
from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()

@tasks.task("add")
async def add(a: int, b: int) -> int:
    return a + b

@tasks.task("hold")
async def hold(ctx: TaskContext) -> int:
    """The first attempt never ends."""
    if ctx.attempt == 1:
        await asyncio.Event().wait()
    return ctx.attempt
'''

_LIMIT = timedelta(seconds=30)
_LIMIT_PB = Duration(seconds=30)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path has room for sockets."""
    with tempfile.TemporaryDirectory(prefix="taskline-test-") as folder:
        yield Path(folder)


@dataclass(slots=True)
class Served:
    """A running `taskline serve`, and plain stubs that call it."""

    process: asyncio.subprocess.Process
    address: str
    tasks: TaskServiceStub
    admin: AdminServiceStub

    async def enqueue(self, task_type: str, task_id: str, task_input: bytes = b"{}") -> None:
        await self.tasks.Enqueue(
            pb.EnqueueRequest(
                task_type=task_type, task_id=task_id, input=task_pb2.Payload(json_bytes=task_input)
            )
        )

    async def result(self, task_id: str) -> bytes:
        request = pb.GetResultRequest(
            task_id=task_id, timeout=_LIMIT_PB, payload_format=task_pb2.PAYLOAD_FORMAT_JSON_BYTES
        )
        return (await self.tasks.GetResult(request)).result.json_bytes

    async def running(self, task_id: str) -> task_pb2.Task:
        """The task, once it runs."""
        call = self.tasks.Watch(pb.WatchRequest(task_ids=[task_id]))
        try:
            async for _ in call:
                request = pb.GetTaskRequest(task_id=task_id)
                task = (await self.tasks.GetTask(request)).task
                if task.state == task_pb2.Task.STATE_RUNNING:
                    return task
        finally:
            call.cancel()
        raise AssertionError("it ended")

    async def end(self, *, kill: bool = False) -> int:
        """Stop it, with SIGTERM unless `kill`; returns its exit code."""
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        return await self.process.wait()


@asynccontextmanager
async def serving(folder: Path, *options: str) -> AsyncIterator[Served]:
    """A `taskline serve` of its own on the data in this folder, until the block ends."""
    process = await start(folder, *options, "--listen", "127.0.0.1:0")
    try:
        assert process.stdout
        async with asyncio.timeout(20):
            ready = (await process.stdout.readline()).decode()
        assert ready.startswith("taskline: serving on "), ready
        address = ready.split()[-1]
        async with grpc.aio.insecure_channel(address) as channel:
            yield Served(process, address, TaskServiceStub(channel), AdminServiceStub(channel))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def start(folder: Path, *options: str) -> asyncio.subprocess.Process:
    (folder / "faulty_tasks.py").write_text(_TASKS)
    return await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("taskline"),
        *("serve", "--tasks", "faulty_tasks:tasks", "--data-dir", str(folder / "data")),
        *options,
        cwd=folder,
        env=os.environ | {"XDG_RUNTIME_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def refused(folder: Path, *options: str) -> tuple[int, str]:
    """The exit code and the complaint of a `taskline serve` that does not come to serve."""
    process = await start(folder, *options)
    output, complaint = await process.communicate()
    assert not output
    return process.returncode or 0, complaint.decode()


async def rest_of(
    watch: "grpc.aio.UnaryStreamCall[pb.WatchRequest, task_pb2.TaskEvent]",
) -> list[task_pb2.TaskEvent]:
    """What a watch says that was read from before."""
    events = list[task_pb2.TaskEvent]()
    while isinstance(event := await watch.read(), task_pb2.TaskEvent):
        events.append(event)
    return events


def process_of(worker: str) -> int:
    """The process of a worker: the last but one part of its id."""
    return int(worker.split("-")[-2])


async def test_another_attempt_completes_what_a_killed_worker_had_begun(short_path: Path) -> None:
    async with serving(short_path, "--workers", "1", "--lease", "1") as served:
        await served.enqueue("hold", "held")
        first = await served.running("held")
        watch = served.tasks.Watch(pb.WatchRequest(task_ids=["held"]))
        await watch.read()

        os.kill(process_of(first.worker), signal.SIGKILL)
        result = await served.result("held")

        ends = [event.ended for event in await rest_of(watch) if event.HasField("ended")]
        task = (await served.tasks.GetTask(pb.GetTaskRequest(task_id="held"))).task
    assert result == b"2"
    assert [end.state for end in ends] == [task_pb2.Task.STATE_COMPLETED]
    assert task.attempts == 2
    lost, done = task.attempt_history
    assert lost.worker == first.worker != done.worker
    assert lost.error.error_type == task_pb2.TaskError.TYPE_WORKER_LOST
    assert not done.HasField("error")


@pytest.mark.parametrize("kill", [pytest.param(False, id="SIGTERM"), pytest.param(True, id="-9")])
async def test_a41_a_restarted_server_has_every_task_and_result(
    short_path: Path, kill: bool
) -> None:
    async with serving(short_path, "--workers", "1") as served:
        for i in range(20):
            await served.enqueue("add", f"sum-{i}", b'{"a": %d, "b": 1}' % i)
        for i in range(20):
            await served.result(f"sum-{i}")
        later = pb.EnqueueRequest(task_type="hold", task_id="later", delay=Duration(seconds=3600))
        await served.tasks.Enqueue(later)
        before = await served.tasks.ListTasks(pb.ListTasksRequest(view=task_pb2.TASK_VIEW_FULL))
        told = await served.tasks.ListTaskEvents(pb.ListTaskEventsRequest(task_id="sum-0"))
        await served.end(kill=kill)

    async with serving(short_path, "--workers", "0") as served:
        after = await served.tasks.ListTasks(pb.ListTasksRequest(view=task_pb2.TASK_VIEW_FULL))
        results = [await served.result(f"sum-{i}") for i in range(20)]
        story = await served.tasks.ListTaskEvents(pb.ListTaskEventsRequest(task_id="sum-0"))

    assert len(told.events) == 3
    assert story == told
    assert len(before.tasks) == 21
    for task in [*before.tasks, *after.tasks]:
        task.ClearField("resume_token")  # says where the watch goes on, which grew
    assert list(after.tasks) == list(before.tasks)
    assert results == [b"%d" % (i + 1) for i in range(20)]


async def test_a_server_told_to_end_lets_running_tasks_go_back_and_exits_with_0(
    short_path: Path,
) -> None:
    async with serving(short_path, "--workers", "1", "--grace", "1") as served:
        await served.enqueue("hold", "held")
        await served.running("held")
        waiting = served.tasks.GetResult(pb.GetResultRequest(task_id="held", wait=True))
        watch = served.tasks.Watch(pb.WatchRequest(task_ids=["held"]))
        await watch.read()

        code = await served.end()

        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await waiting
    assert code == 0
    assert gone.value.code() is grpc.StatusCode.UNAVAILABLE
    async with serving(short_path, "--workers", "1") as served:
        assert await served.result("held") == b"2"


async def test_a_second_signal_ends_the_server_at_once_and_its_workers_with_it(
    short_path: Path,
) -> None:
    async with serving(short_path, "--workers", "1", "--grace", "60") as served:
        await served.enqueue("hold", "held")
        task = await served.running("held")

        served.process.terminate()
        await logged(served, "SIGTERM: ending in order", times=2)  # by the server and the worker
        code = await served.end()

        await gone(process_of(task.worker), within=20)
    assert code not in (0, None)


async def logged(served: Served, text: str, *, times: int) -> None:
    """Returns when it has logged something that often."""
    assert served.process.stderr
    async with asyncio.timeout(20):
        while times:
            line = await served.process.stderr.readline()
            assert line, "it ended"
            times -= text in line.decode()


async def gone(pid: int, *, within: float) -> None:
    """Returns when the process has ended."""
    async with asyncio.timeout(within):
        with suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.02)  # not our child, so there is no event


async def test_a_server_whose_embedded_store_dies_says_so_and_ends_at_once(
    short_path: Path,
) -> None:
    async with serving(short_path, "--workers", "1", "--grace", "60") as served:
        await served.enqueue("hold", "held")
        task = await served.running("held")

        os.kill(int((short_path / "data" / "store.pid").read_text()), signal.SIGKILL)
        async with asyncio.timeout(20):
            _, complaint = await served.process.communicate()

        await gone(process_of(task.worker), within=20)
    assert served.process.returncode == 1
    assert re.search(r"ERROR.*: *\"the embedded store ended with -9;", complaint.decode())
    assert "SIGTERM" not in complaint.decode()
    assert "Traceback" not in complaint.decode()


async def test_a_port_in_use_is_refused(short_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        code, complaint = await refused(short_path, "--workers", "0", "--listen", address)

    assert code == 1
    assert f"cannot listen on {address}" in complaint
    assert "Traceback" not in complaint


async def test_a_second_server_on_one_data_directory_is_refused(short_path: Path) -> None:
    async with serving(short_path, "--workers", "0") as served:
        code, complaint = await refused(short_path, "--listen", "127.0.0.1:0")

    assert code == 1
    assert f"process {served.process.pid}" in complaint
    assert "Traceback" not in complaint


async def test_listening_beyond_loopback_is_refused(short_path: Path) -> None:
    code, complaint = await refused(short_path, "--listen", "0.0.0.0:0")

    assert code == 2
    assert "--insecure" in complaint


async def test_a_worker_that_dies_is_replaced(short_path: Path) -> None:
    async with serving(short_path, "--workers", "1") as served:
        await served.enqueue("add", "first", b'{"a": 1, "b": 1}')
        await served.result("first")
        (worker,) = (await served.admin.ListWorkers(ListWorkersRequest())).workers

        os.kill(process_of(worker.id), signal.SIGKILL)
        await served.enqueue("add", "second", b'{"a": 1, "b": 2}')

        assert await served.result("second") == b"3"


async def test_ten_thousand_tasks_are_executed_and_listed_once_each(stack: Stack) -> None:
    runs = dict[int, int]()

    @stack.tasks.task("count")
    async def count(n: int) -> int:
        runs[n] = runs.get(n, 0) + 1
        return n

    async with stack.worker(concurrency=200):
        for start_at in range(0, 10_000, 1000):
            await stack.stub.BatchEnqueue(
                pb.BatchEnqueueRequest(
                    requests=[
                        pb.EnqueueRequest(
                            task_type="count",
                            task_id=f"n-{n}",
                            input=task_pb2.Payload(json_bytes=b'{"n": %d}' % n),
                        )
                        for n in range(start_at, start_at + 1000)
                    ]
                )
            )
        for n in range(9_800, 10_000):
            await stack.stub.GetResult(pb.GetResultRequest(task_id=f"n-{n}", timeout=_LIMIT_PB))
        await until_none_is_open(stack)

    listed, token, total = list[str](), "", 0
    while True:
        request = pb.ListTasksRequest(page_size=700, page_token=token)
        page = await stack.stub.ListTasks(request)
        listed += [task.id for task in page.tasks]
        total = page.total_size
        assert all(task.state == task_pb2.Task.STATE_COMPLETED for task in page.tasks)
        token = page.next_page_token
        if not token:
            break
    assert runs == dict.fromkeys(range(10_000), 1)
    assert total == len(listed) == len(set(listed)) == 10_000


async def until_none_is_open(stack: Stack) -> None:
    """Returns when every task has ended: waits for the first open one, again and again."""
    states = [task_pb2.Task.STATE_QUEUED, task_pb2.Task.STATE_RUNNING]
    request = pb.ListTasksRequest(
        filter=pb.TaskFilter(states=states), page_size=1, order_by="create_time"
    )
    while tasks := (await stack.stub.ListTasks(request)).tasks:
        await stack.stub.GetResult(pb.GetResultRequest(task_id=tasks[0].id, timeout=_LIMIT_PB))


# Tasks that misbehave


class _BeyondException(BaseException):
    pass


class _Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit("cannot even say what it is")


class _Oddly(Exception):
    pass


_Oddly.__module__ = "no\ud800text"


@pytest.mark.parametrize("plain", [pytest.param(False, id="async"), pytest.param(True, id="plain")])
@pytest.mark.parametrize(
    "raised",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(1),
        StopAsyncIteration(),
        asyncio.CancelledError(),
        _BeyondException(),
        BaseExceptionGroup("several", [KeyboardInterrupt()]),
        _Mute(),
        _Oddly(),
        ValueError("\x00 \ud800 " + "long" * 1_000_000),
    ],
    ids=lambda raised: type(raised).__name__,
)
async def test_whatever_a_task_raises_fails_that_task_only(
    stack: Stack, raised: BaseException, plain: bool
) -> None:
    if plain:

        @stack.tasks.task("odd", max_attempts=1)
        def odd() -> None:
            raise raised

    else:

        @stack.tasks.task("odd", max_attempts=1)
        async def odd_async() -> None:
            raise raised

    @stack.tasks.task("good")
    async def good() -> str:
        return "well"

    async with stack.worker():
        with pytest.raises(TaskFailed):
            await (await stack.client.enqueue("odd")).result(timeout=_LIMIT)

        assert await (await stack.client.enqueue("good")).result(timeout=_LIMIT) == "well"


async def test_a_task_that_blocks_the_event_loop_longer_than_its_lease_keeps_it(
    stack: Stack,
) -> None:
    @stack.tasks.task("block")
    async def block(ctx: TaskContext) -> int:
        time.sleep(1.5)  # noqa: ASYNC251 - the very fault
        return ctx.attempt

    async with stack.worker(lease=timedelta(seconds=1)):
        handle = await stack.client.enqueue("block")

        assert await handle.result(timeout=_LIMIT) == 1


async def test_a_task_that_takes_five_times_as_long_as_its_lease_runs_once(stack: Stack) -> None:
    lease = timedelta(seconds=1)

    @stack.tasks.task("long")
    async def long(ctx: TaskContext) -> int:
        await asyncio.sleep(5 * lease.total_seconds())
        return ctx.attempt

    async with stack.worker(lease=lease):
        handle = await stack.client.enqueue("long")

        assert await handle.result(timeout=_LIMIT) == 1
    assert (await handle.get()).attempts == 1


async def test_a_report_after_the_end_of_its_task_changes_nothing(stack: Stack) -> None:
    contexts = list[TaskContext]()

    @stack.tasks.task("late")
    async def late(ctx: TaskContext) -> None:
        contexts.append(ctx)

    async with stack.worker():
        first = await stack.client.enqueue("late")
        await first.result(timeout=_LIMIT)

        await contexts[0].progress.increment(5)
        await (await stack.client.enqueue("late")).result(timeout=_LIMIT)

    assert (await first.get()).progress is None


# A store in trouble


async def test_a_repeated_enqueue_without_any_id_of_the_caller_makes_one_task(
    store: TaskStore,
) -> None:
    new = NewTask(spec=TaskSpec(id="made-here", uid="made-here", task_type="t", queue="q"))

    first = await store.enqueue([new])
    again = await store.enqueue([new])  # as after an answer that got lost

    assert first[0].status is EnqueueStatus.CREATED
    assert again[0].status is EnqueueStatus.REPEATED


@asynccontextmanager
async def out_of_memory(store: TaskStore) -> AsyncIterator[None]:
    await store.redis.call(b"CONFIG", b"SET", b"maxmemory", b"1")
    try:
        yield
    finally:
        await store.redis.call(b"CONFIG", b"SET", b"maxmemory", b"0")


async def test_a_full_store_refuses_new_tasks_and_lets_running_ones_end(stack: Stack) -> None:
    full = asyncio.Event()

    @stack.tasks.task("work")
    async def work(ctx: TaskContext) -> str:
        await ctx.progress.set_total(10)
        await full.wait()
        for _ in range(10):
            await ctx.progress.increment()
        return "done"

    async with stack.worker():
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="work", task_id="begun"))
        await stack.until("begun", lambda task: task.progress.total == 10)
        async with out_of_memory(stack.store):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stack.stub.Enqueue(pb.EnqueueRequest(task_type="work", task_id="late"))
            full.set()
            request = pb.GetResultRequest(task_id="begun", timeout=Duration(seconds=10))
            response = await stack.stub.GetResult(request)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert response.task.state == task_pb2.Task.STATE_COMPLETED
    assert response.task.progress.current == 10
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await stack.stub.GetTask(pb.GetTaskRequest(task_id="late"))
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_task_that_fails_while_the_store_is_full_is_tried_again(stack: Stack) -> None:
    @stack.tasks.task("fails", initial_backoff=timedelta(milliseconds=10))
    async def fails(ctx: TaskContext) -> int:
        if ctx.attempt == 1:
            await full.wait()
            raise ConnectionError("not yet")
        return ctx.attempt

    full = asyncio.Event()
    async with stack.worker():
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="fails", task_id="f"))
        await stack.until("f", lambda task: task.state == task_pb2.Task.STATE_RUNNING)
        async with out_of_memory(stack.store):
            full.set()
            failed = await stack.until("f", lambda task: task.HasField("error"))
        response = await stack.stub.GetResult(pb.GetResultRequest(task_id="f", timeout=_LIMIT_PB))

    assert failed.error.message == "not yet"
    assert response.result.json.number_value == 2


async def test_operators_can_act_while_the_store_is_full(stack: Stack) -> None:
    store, queues = stack.store, stack.admin
    for state in (TaskState.FAILED, TaskState.COMPLETED, TaskState.QUEUED):
        await reach(store, state, state)

    async with out_of_memory(store):
        pause = admin_service_pb2.PauseQueueRequest(queue="default")
        assert (await queues.PauseQueue(pause)).queue.paused
        await store.cancel(TaskState.QUEUED)
        await store.retry(TaskState.FAILED)
        await store.delete(TaskState.COMPLETED)
        resume = admin_service_pb2.ResumeQueueRequest(queue="default")
        assert not (await queues.ResumeQueue(resume)).queue.paused

    assert await states(store) == {"QUEUED": TaskState.CANCELLED, "FAILED": TaskState.QUEUED}


async def test_nothing_fails_while_the_scripts_are_flushed_all_the_time(stack: Stack) -> None:
    @stack.tasks.task("greet")
    async def greet() -> str:
        return "hello"

    async def flush() -> None:
        while True:
            await stack.store.redis.call(b"SCRIPT", b"FLUSH")

    flushing = asyncio.create_task(flush())
    async with stack.worker():
        handles = await asyncio.gather(*(stack.client.enqueue("greet") for _ in range(50)))
        results = [await handle.result(timeout=_LIMIT) for handle in handles]
    flushing.cancel()

    assert results == ["hello"] * 50


async def test_a_task_given_back_at_a_shutdown_gets_its_queue_timeout_anew(stack: Stack) -> None:
    @stack.tasks.task("twice")
    async def twice(ctx: TaskContext) -> int:
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return ctx.attempt

    request = pb.EnqueueRequest(
        task_type="twice", task_id="kept", queue_timeout=Duration(seconds=1)
    )
    created = (await stack.stub.Enqueue(request)).task
    async with stack.worker():
        await stack.until("kept", lambda task: task.state == task_pb2.Task.STATE_RUNNING)
        await _time_of_the_store_passes(stack, created.schedule_time.ToMicroseconds() + 1_100_000)
    async with stack.worker():
        response = await stack.stub.GetResult(
            pb.GetResultRequest(task_id="kept", timeout=_LIMIT_PB)
        )

    assert response.task.state == task_pb2.Task.STATE_COMPLETED
    assert response.task.attempts == 2


async def _time_of_the_store_passes(stack: Stack, until_us: int) -> None:
    while True:
        seconds, us = await stack.store.redis.call(b"TIME")
        left_us = until_us - int(seconds) * 1_000_000 - int(us)
        if left_us <= 0:
            return
        await asyncio.sleep(left_us / 1e6)


def test_a_wrong_password_of_the_store_is_told_in_one_line(redis_url: str) -> None:
    url = redis_url.replace("unix://", "unix://:wrong@")
    command = [str(Path(sys.executable).with_name("taskline")), "serve", "--listen", "127.0.0.1:0"]

    ended = subprocess.run(
        [*command, "--redis-url", url], capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.returncode == 1
    assert "cannot connect to" in ended.stderr
    assert "Traceback" not in ended.stderr


# What callers have who have nothing of ours

_ROOT = Path(__file__).parents[2]

_PLAIN_CALLER = """
import sys
import grpc
from taskline.v1 import task_pb2, task_service_pb2 as pb, task_service_pb2_grpc as services

with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = services.TaskServiceStub(channel)
    task = stub.Enqueue(
        pb.EnqueueRequest(task_type="add", input=task_pb2.Payload(json_bytes=b'{"a": 2, "b": 3}'))
    ).task
    for event in stub.Watch(pb.WatchRequest(task_ids=[task.id])):
        print(event.WhichOneof("event"))
    print(stub.GetResult(pb.GetResultRequest(task_id=task.id)).result.json.number_value)
"""


async def ran(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """What a command prints; it has to succeed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=_ROOT,
        env=os.environ | (env or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return output.decode()


async def test_stubs_that_stock_tools_generate_can_do_all_of_it(short_path: Path) -> None:
    generator = _ROOT / ".venv-proto" / "bin" / "python"
    if not generator.exists():
        pytest.skip("`make proto` has not installed the generator")
    protos = [f"protos/taskline/v1/{name}.proto" for name in ("task", "task_service")]
    out = (f"--python_out={short_path}", f"--grpc_python_out={short_path}")
    await ran(generator, "-m", "grpc_tools.protoc", "-Iprotos", *out, *protos)
    caller = short_path / "caller.py"
    caller.write_text(_PLAIN_CALLER)

    async with serving(short_path, "--workers", "1") as served:
        # The folder of the caller comes first on its path; ours is not on it at all.
        printed = await ran(generator, caller, served.address)

    lines = printed.split()
    assert (lines[0], lines[-2:]) == ("snapshot", ["ended", "5.0"])


def curl(served: Served) -> Callable[..., list[str | Path]]:
    """How to call it with grpcurl or else with buf, whichever is here."""
    if grpcurl := shutil.which("grpcurl"):
        return lambda method, data: [grpcurl, "-plaintext", "-d", data, served.address, method]
    buf = Path(sys.executable).with_name("buf")
    if not buf.exists():
        pytest.skip("neither grpcurl nor buf is here")
    url = f"http://{served.address}"
    plain = ("--protocol", "grpc", "--http2-prior-knowledge")
    return lambda method, data: [buf, "curl", *plain, "-d", data, f"{url}/{method}"]


async def test_curl_for_grpc_enqueues_watches_and_reads_the_result(short_path: Path) -> None:
    async with serving(short_path, "--workers", "1") as served:
        call, home = curl(served), {"HOME": str(short_path)}
        enqueue = '{"task_type": "add", "input": {"json": {"a": 2, "b": 3}}}'
        answer = json.loads(await ran(*call("taskline.v1.TaskService/Enqueue", enqueue), env=home))
        task_id = answer["task"]["id"]
        watch = json.dumps({"task_ids": [task_id]})
        events = await ran(*call("taskline.v1.TaskService/Watch", watch), env=home)
        wait = json.dumps({"task_id": task_id, "wait": True})
        result = await ran(*call("taskline.v1.TaskService/GetResult", wait), env=home)

    assert answer["task"]["state"] in ("STATE_QUEUED", "STATE_RUNNING")
    assert '"snapshot"' in events
    assert '"ended"' in events
    assert json.loads(result)["result"] == {"json": 5}


async def test_curl_for_grpc_lists_the_services_and_describes_them_with_their_comments(
    short_path: Path,
) -> None:
    grpcurl, buf = shutil.which("grpcurl"), Path(sys.executable).with_name("buf")
    if not grpcurl and not buf.exists():
        pytest.skip("neither grpcurl nor buf is here")
    async with serving(short_path, "--workers", "0") as served:
        if grpcurl:
            plain = (grpcurl, "-plaintext", served.address)
            listed = await ran(*plain, "list")
            described = await ran(*plain, "describe", "taskline.v1.TaskService.Watch")
            assert "Streams the events" in described
        else:  # it shows no comments; that they are served, rpc/test_reflection.py sees
            options = ("--protocol", "grpc", "--http2-prior-knowledge", "--list-services")
            url = f"http://{served.address}"
            listed = await ran(buf, "curl", *options, url, env={"HOME": str(short_path)})

    assert {"taskline.v1.TaskService", "taskline.v1.AdminService"} <= set(listed.split())


async def test_o26_a_task_that_ignores_its_timeout_ends_all_the_same(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "INTERRUPT_GRACE_S", 0.1)
    let_go = asyncio.Event()

    @stack.tasks.task("stubborn", timeout=timedelta(milliseconds=50), max_attempts=1)
    async def stubborn() -> None:
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()

    async with stack.worker():
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="stubborn", task_id="s"))
        request = pb.GetResultRequest(task_id="s", timeout=Duration(seconds=7))
        response = await stack.stub.GetResult(request)
        let_go.set()

    assert response.error.error_type == task_pb2.TaskError.TYPE_TIMEOUT


async def test_o26_a_task_that_blocks_the_event_loop_beyond_its_timeout_has_timed_out(
    stack: Stack,
) -> None:
    @stack.tasks.task("block", timeout=timedelta(milliseconds=50), max_attempts=1)
    async def block() -> None:
        time.sleep(0.2)  # noqa: ASYNC251 - the very fault

    async with stack.worker():
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="block", task_id="b"))
        response = await stack.stub.GetResult(pb.GetResultRequest(task_id="b", timeout=_LIMIT_PB))

    assert response.error.error_type == task_pb2.TaskError.TYPE_TIMEOUT


async def test_o26_a_function_that_ends_in_time_while_another_blocks_the_loop_completes(
    stack: Stack,
) -> None:
    begun, blocks = threading.Event(), threading.Event()

    @stack.tasks.task("quick", timeout=timedelta(milliseconds=200), max_attempts=1)
    def quick() -> str:
        begun.set()
        blocks.wait(20)
        return "in time"

    @stack.tasks.task("block")
    async def block() -> None:
        await asyncio.to_thread(begun.wait, 20)
        blocks.set()
        time.sleep(0.4)  # noqa: ASYNC251 - the very fault

    async with stack.worker():
        await stack.client.enqueue("block")
        handle = await stack.client.enqueue("quick")

        assert await handle.result(timeout=_LIMIT) == "in time"


async def test_the_log_names_the_type_of_a_task_and_how_its_attempt_ended(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    @stack.tasks.task("fails", max_attempts=1)
    async def fails() -> None:
        raise ConnectionError("no")

    @stack.tasks.task("waits")
    async def waits(ctx: TaskContext) -> None:
        await ctx.log("begun")
        await asyncio.Event().wait()

    caplog.set_level("INFO", "taskline_service.worker")
    async with stack.worker():
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="fails", task_id="f"))
        await stack.stub.GetResult(pb.GetResultRequest(task_id="f", timeout=_LIMIT_PB))
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="waits", task_id="w"))
        await stack.until("w", lambda task: task.state == task_pb2.Task.STATE_RUNNING)
        await stack.stub.CancelTask(pb.CancelTaskRequest(task_id="w"))
        await stack.stub.GetResult(pb.GetResultRequest(task_id="w", timeout=_LIMIT_PB))

    lines = {
        vars(record)["task_type"]: record.getMessage()
        for record in caplog.records
        if record.name == "taskline_service.worker.narrator"
    }
    assert re.fullmatch(
        r"task f: fails\(\) failed in \d\.\d{3} s: builtins\.ConnectionError", lines["fails"]
    )
    assert re.fullmatch(r"task w: waits\(\) cancelled in \d\.\d{3} s", lines["waits"])
