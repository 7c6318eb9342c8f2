"""The synchronous client: the same as the asynchronous one, for threads."""

import asyncio
import inspect
import re
import signal
import subprocess
import sys
import threading
import time
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

import pytest

import taskline_client
from taskline_client import (
    ClientClosed,
    Ended,
    EnqueueRequest,
    LogLine,
    Output,
    Snapshot,
    TaskFailed,
    TaskFilter,
    TaskState,
    TaskTimeout,
    Unavailable,
    sync,
)
from taskline_service import TaskContext, TaskRegistry
from tests.stack import Stack

T = TypeVar("T")

tasks = TaskRegistry()


@tasks.task("doubled")
async def doubled(number: int) -> int:
    return 2 * number


@tasks.task("fails", max_attempts=1)
async def fails() -> None:
    raise ZeroDivisionError("by zero")


@tasks.task("waits", max_attempts=1)
async def waits(ctx: TaskContext) -> None:
    await ctx.log("waiting")
    await asyncio.Event().wait()


@tasks.task("talks")
async def talks(lines: int) -> AsyncIterator[int]:
    for number in range(lines):
        yield number


@pytest.fixture
async def stack(stack: Stack) -> AsyncIterator[Stack]:
    stack.tasks.include(tasks)
    async with stack.worker():
        yield stack


async def in_thread(run: Callable[[sync.TaskClient], T], stack: Stack) -> T:
    """What a script would do, beside the service in this loop."""

    def script() -> T:
        with sync.TaskClient(stack.address) as client:
            return run(client)

    return await asyncio.to_thread(script)


# The same surface


def surface(of: type[Any]) -> dict[str, list[str]]:
    """The signatures of the public methods, overloads included, as if all were synchronous."""
    found: dict[str, list[str]] = {}
    for name, method in inspect.getmembers(of, inspect.isfunction):
        ours = {"__aenter__": "__enter__", "__aexit__": "__exit__"}.get(name, name)
        if not ours.startswith("_") or ours in ("__enter__", "__exit__"):
            found[ours] = [_signature(each) for each in (*typing.get_overloads(method), method)]
    return found


def _signature(method: Any) -> str:
    text = str(inspect.signature(method)).replace("taskline_client.sync.", "taskline_client.")
    return re.sub(r"AsyncGenerator\[(.*), None\]$", r"Generator[\1, None, None]", text)


@pytest.mark.parametrize("name", ["TaskClient", "TaskHandle", "AdminClient"])
def test_every_method_has_the_signature_of_the_asynchronous_one(name: str) -> None:
    ours, theirs = getattr(sync, name), getattr(taskline_client, name)

    assert surface(ours) == surface(theirs)
    assert len(surface(ours)) >= 5


def test_what_is_awaited_there_is_waited_for_here() -> None:
    for name in sync.__all__:
        ours, theirs = getattr(sync, name), getattr(taskline_client, name)
        for method, _ in inspect.getmembers(theirs, inspect.isfunction):
            assert not inspect.iscoroutinefunction(getattr(ours, method, None)), method
            assert not inspect.isasyncgenfunction(getattr(ours, method, None)), method


def test_clients_are_made_from_the_same_arguments() -> None:
    for name in ("TaskClient", "AdminClient"):
        ours, theirs = getattr(sync, name), getattr(taskline_client, name)
        assert inspect.signature(ours) == inspect.signature(theirs)


# What it does


async def test_a_script_enqueues_waits_and_reads(stack: Stack) -> None:
    def script(client: sync.TaskClient) -> None:
        handle = client.enqueue(doubled, 4)
        assert handle.result() == 8
        assert client.run("doubled", number=5) == 10
        assert client.get(handle.id).state is TaskState.COMPLETED
        handles = client.enqueue_many(EnqueueRequest(doubled, n) for n in range(3))
        assert client.gather(*handles) == (0, 2, 4)
        assert {task.id for task in client.list_tasks(page_size=2)} >= {h.id for h in handles}
        assert client.list_page(TaskFilter(task_types=["doubled"])).total_size == 5
        assert client.stats().states[TaskState.COMPLETED] == 5
        assert "doubled" in [each.name for each in client.task_types()]

    await in_thread(script, stack)


async def test_an_operator_pauses_and_deletes(stack: Stack) -> None:
    def script() -> None:
        with sync.AdminClient(stack.address) as admin, sync.TaskClient(stack.address) as client:
            assert admin.pause_queue("default").paused
            handle = client.enqueue(doubled, 1)
            assert not admin.resume_queue("default").paused
            handle.result()
            assert admin.delete_tasks(TaskFilter()) == 1
            assert admin.server_info().start_time == client.server_info().start_time

    await asyncio.to_thread(script)


async def test_errors_are_those_of_the_asynchronous_client(stack: Stack) -> None:
    def script(client: sync.TaskClient) -> None:
        with pytest.raises(TaskFailed, match="by zero"):
            client.run(fails)
        with pytest.raises(ZeroDivisionError):
            client.enqueue(fails).result(reraise=True)
        with pytest.raises(TaskTimeout):
            client.enqueue(waits).result(timeout=timedelta(milliseconds=10))
        with pytest.raises(TypeError):
            client.enqueue(doubled, 1, 2)  # type: ignore[call-overload]

    await in_thread(script, stack)


async def test_a_watch_is_an_iterator_that_can_be_left(stack: Stack) -> None:
    def script(client: sync.TaskClient) -> None:
        told = list(client.enqueue(talks, lines=3).watch())
        assert isinstance(told[0], Snapshot)
        assert [event.value for event in told if isinstance(event, Output)] == [0, 1, 2]
        assert isinstance(told[-1], Ended)

        handle = client.enqueue(waits)
        for event in handle.watch():
            if isinstance(event, LogLine):
                break
        assert isinstance(next(client.watch(handle.id)), Snapshot)
        handle.cancel("seen enough")
        with pytest.raises(taskline_client.TaskCancelled):
            handle.result()
        assert any(isinstance(event, LogLine) for event in handle.events())

    await in_thread(script, stack)


async def test_a_watch_that_is_left_ends_on_the_server(stack: Stack) -> None:
    def first_event(client: sync.TaskClient) -> None:
        events = client.enqueue(waits).watch()
        next(events)
        events.close()

        while stack.server.calls:
            time.sleep(0.01)

    await asyncio.wait_for(in_thread(first_event, stack), 10)


def test_leaving_an_iterator_ends_what_it_iterates_over() -> None:
    ended = threading.Event()

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            ended.set()

    with sync.TaskClient() as client:
        kept = numbers()
        iterator = client._portal.iterate(kept)
        assert next(iterator) == 1
        iterator.close()

        assert ended.wait(10)


async def test_threads_share_a_client(stack: Stack) -> None:
    def script(client: sync.TaskClient) -> None:
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda n: client.run(doubled, n), range(40)))
        assert results == [2 * n for n in range(40)]

    await in_thread(script, stack)


async def test_many_clients_at_once_log_nothing(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    def script(client: sync.TaskClient) -> None:
        with sync.TaskClient(stack.address) as other:
            for number in range(50):
                assert client.run(doubled, number) == other.run(doubled, number)

    await asyncio.gather(*(in_thread(script, stack) for _ in range(4)))

    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_calls_are_made_in_the_context_of_the_calling_thread(stack: Stack) -> None:
    name = ContextVar("name", default="")

    async def named() -> str:
        return name.get()

    def script(client: sync.TaskClient) -> str:
        name.set("of this thread")
        return client._portal.call(named())

    # What traces go by: a call belongs to the span that is current where it is made.
    assert await in_thread(script, stack) == "of this thread"


# Its end


async def test_closing_ends_what_other_threads_wait_for(stack: Stack) -> None:
    client = sync.TaskClient(stack.address)
    handle = await asyncio.to_thread(client.enqueue, waits)
    waiting = asyncio.gather(
        asyncio.to_thread(handle.result),
        asyncio.to_thread(list, handle.watch()),
        asyncio.to_thread(client.gather, handle, handle),
        return_exceptions=True,
    )
    await under_way(4, stack)

    await asyncio.to_thread(client.close)

    async with asyncio.timeout(5):
        ended = await waiting
    assert [type(each) for each in ended] == [ClientClosed] * 3
    # It may also come between two events of a watch.
    assert {str(each) for each in ended} <= {
        "the client was closed while this call was under way",
        "the client is closed",
    }


def test_closing_ends_what_waits_for_anything_but_a_call() -> None:
    async def nothing() -> None:
        pass

    async def pause(begun: threading.Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    with sync.TaskClient() as other, ThreadPoolExecutor(1) as thread:
        other._portal.call(nothing())  # and so their event loop goes on
        client, begun = sync.TaskClient(), threading.Event()
        waiting = thread.submit(lambda: client._portal.call(pause(begun)))
        begun.wait()

        client.close()

        with pytest.raises(ClientClosed, match="the client was closed while"):
            waiting.result(timeout=10)


async def under_way(calls: int, stack: Stack) -> None:
    while stack.server.calls < calls:  # noqa: ASYNC110  # nobody tells of it
        await asyncio.sleep(0.01)


async def test_a_client_that_is_closed_says_so(stack: Stack) -> None:
    def script(client: sync.TaskClient) -> None:
        handle, events = client.enqueue(doubled, 1), client.handle("t").watch()
        client.close()
        client.close()
        for call in (handle.get, handle.result, client.server_info, lambda: list(events)):
            with pytest.raises(ClientClosed, match="the client is closed"):
                call()

    await in_thread(script, stack)


def test_a_client_that_was_never_used_closes() -> None:
    with sync.TaskClient() as client:
        pass

    with pytest.raises(ClientClosed, match="the client is closed"):
        client.server_info()


async def test_the_thread_ends_with_the_last_client(stack: Stack) -> None:
    def running() -> int:
        return sum(thread.name == "taskline-client" for thread in threading.enumerate())

    def script(client: sync.TaskClient) -> None:
        with sync.TaskClient(stack.address) as other:
            client.server_info()
            other.server_info()
            assert running() == 1
        assert running() == 1

    await in_thread(script, stack)

    assert running() == 0


def test_without_a_server_it_is_unavailable() -> None:
    with (
        sync.TaskClient("127.0.0.1:1", timeout=timedelta(seconds=0.3)) as client,
        pytest.raises(Unavailable),
    ):
        client.server_info()


# In programs of their own


def program(code: str, address: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def ended(started: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(asyncio.to_thread(started.communicate), 20)
    return started.returncode, out, err


async def test_ctrl_c_ends_a_wait_at_once(stack: Stack) -> None:
    code = """
import sys
from taskline_client.sync import TaskClient
with TaskClient(sys.argv[1]) as client:
    handle = client.enqueue("waits")
    print(handle.id, flush=True)
    try:
        handle.result()
    except KeyboardInterrupt:
        print(client.get(handle.id).state.name)
"""
    started = program(code, stack.address)
    assert started.stdout
    task_id = (await asyncio.to_thread(started.stdout.readline)).strip()
    await stack.until(task_id, lambda task: bool(task.worker))
    await under_way(1, stack)

    interrupted_at = time.monotonic()
    started.send_signal(signal.SIGINT)
    outcome = await ended(started)

    assert outcome == (0, "RUNNING\n", "")
    assert time.monotonic() - interrupted_at < 3


async def test_a_program_ends_although_its_client_is_still_open(stack: Stack) -> None:
    code = """
import sys
from taskline_client.sync import TaskClient
client = TaskClient(sys.argv[1])
events = client.enqueue("waits").watch()
next(events)
print(client.run("doubled", number=2))
"""
    assert await ended(program(code, stack.address)) == (0, "4\n", "")


FORKING = """
import os, sys
from taskline_client.sync import TaskClient

def ask(client):
    try:
        print(client.run("doubled", number=2), flush=True)
    except RuntimeError as error:
        print(error, flush=True)

client = TaskClient(sys.argv[1])
{before}
if os.fork():
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    {parent}
else:
    {child}
"""


@pytest.mark.parametrize(
    ("before", "child", "printed"),
    [
        pytest.param("", "ask(client)", "4\n0\n4\n", id="before the first call"),
        pytest.param("ask(client)", "pass", "4\n0\n4\n", id="not used in the child"),
    ],
)
async def test_a_process_may_fork(stack: Stack, before: str, child: str, printed: str) -> None:
    code = FORKING.format(before=before, child=child, parent="ask(client)")

    assert (await ended(program(code, stack.address)))[:2] == (0, printed)


@pytest.mark.parametrize(
    ("before", "used"),
    [
        pytest.param("", "client", id="of its client"),
        pytest.param("", "TaskClient(sys.argv[1])", id="of another client"),
        pytest.param(
            "; client.close(); client = TaskClient(sys.argv[1])", "client", id="after the last one"
        ),
    ],
)
async def test_a_fork_after_a_call_is_told_to_those_who_call_in_the_copy(
    stack: Stack, before: str, used: str
) -> None:
    code = FORKING.format(before=f"ask(client){before}", child=f"ask({used})", parent="ask(client)")

    status, printed, _ = await ended(program(code, stack.address))

    first, told, child_status, last = printed.splitlines()
    assert (status, first, child_status, last) == (0, "4", "0", "4")
    assert told.startswith("this process was forked after its parent had used a Taskline client")


def test_code_that_a_client_runs_cannot_wait_for_one() -> None:
    with sync.TaskClient() as client, sync.TaskClient() as other:

        async def careless() -> None:
            other.server_info()

        with pytest.raises(RuntimeError, match="cannot call one"):
            client._portal.call(careless())
