"""D40-D46: `taskline watch` on a terminal and in a pipe."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskContext
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.shell import Terminal, taskline
from tests.requirements.wire import State, enqueue, result_within
from tests.stack import Stack


async def test_d40_d42_d43_d44_d45_a_terminal_shows_state_worker_times_bar_and_message(
    stack: Stack,
) -> None:
    go = asyncio.Event()

    @stack.tasks.task("text.count")
    async def count(ctx: TaskContext) -> None:
        await ctx.progress.set_total(100)
        await ctx.progress.increment(60)
        await ctx.progress.set_message("page sixty")
        await go.wait()

    async with stack.worker():
        task = await enqueue(stack, "text.count")
        running = await stack.until(task.id, lambda seen: seen.progress.message == "page sixty")
        async with Terminal.running(stack.address, "watch", task.id) as terminal:
            await terminal.until("page sixty")
            live = terminal.text
            go.set()
            code = await terminal.end()

    assert f"{task.id} text.count  attempt 1/3" in live
    assert f"RUNNING ({running.worker})" in live
    assert f"started {running.start_time.ToDatetime():%H:%M:%SZ}" in live
    assert "updated " in live
    assert "━" in live and "60/100 (60.0%)" in live
    assert code == 0
    *_, last = terminal.text.split(f"{task.id} text.count")
    assert "COMPLETED" in last and "RUNNING" not in last


async def test_d41_every_state_is_shown(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        async with Terminal.running(stack.address, "watch", *ids.values()) as terminal:
            for state in ids:
                await terminal.until(State.Name(state).removeprefix("STATE_"))
            terminal.interrupt()
            code = await terminal.end()
        shown = {
            state: await taskline(stack.address, "watch", task_id, "--timeout", "1")
            for state, task_id in ids.items()
            if state in (State.STATE_SCHEDULED, State.STATE_COMPLETED, State.STATE_FAILED)
        }

    assert code == 130
    assert "stopped watching; the tasks go on" in terminal.text
    for state, ran in shown.items():
        name = State.Name(state).removeprefix("STATE_")
        assert ran.out.split()[1] == name, ran


async def test_d46_while_nothing_happens_nothing_is_read_for_who_watches(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.tasks.task("never.run")(never_run)
    task = await enqueue(stack, "never.run")
    reads = list[bytes]()
    call = type(stack.store.redis).call

    async def note(self: Any, *command: bytes | str, **options: Any) -> Any:
        words = [word.encode() if isinstance(word, str) else word for word in command]
        if any(task.id.encode() in word for word in words):
            reads.append(words[0])
        return await call(self, *command, **options)

    request = service.WatchRequest(task_ids=[task.id])
    request.heartbeat_interval.FromTimedelta(timedelta(seconds=1))
    async with Terminal.running(stack.address, "watch", task.id) as terminal:
        await terminal.until("QUEUED")
        watch = stack.stub.Watch(request)
        await next_event(watch)
        monkeypatch.setattr(type(stack.store.redis), "call", note)
        idle = [(await next_event(watch)).WhichOneof("event") for _ in range(3)]
        seen = list(reads)
        await stack.stub.CancelTask(service.CancelTaskRequest(task_id=task.id))
        code = await terminal.end()

    assert (idle, seen) == (["heartbeat"] * 3, [])
    assert reads, "what is counted are the commands that name the task"
    assert code == 4


async def test_many_tasks_are_followed_at_once_and_the_failed_one_brings_its_traceback(
    stack: Stack,
) -> None:
    @stack.tasks.task("good")
    async def good() -> None: ...

    @stack.tasks.task("bad", max_attempts=1)
    async def bad() -> None:
        raise ValueError("no good")

    ids = [(await enqueue(stack, name)).id for name in ("good", "bad")]
    async with Terminal.running(stack.address, "watch", *ids) as terminal:
        await terminal.until(ids[1])
        async with stack.worker():
            code = await terminal.end()

    assert code == 1
    ended = terminal.text[terminal.text.index("COMPLETED") :]
    for text in ("FAILED", "  ValueError: no good", "Traceback (most recent call last)"):
        assert text in terminal.text
    assert "RUNNING" not in ended.split("ValueError: no good")[-1]


async def test_a_task_that_ended_before_is_never_shown_as_running(stack: Stack) -> None:
    @stack.tasks.task("half")
    async def half(ctx: TaskContext) -> None:
        await ctx.progress.set_total(2)
        await ctx.progress.increment()

    async with stack.worker():
        task = await enqueue(stack, "half")
        await result_within(stack, task.id)
    async with Terminal.running(stack.address, "watch", task.id) as terminal:
        code = await terminal.end()
    plain = await taskline(stack.address, "watch", task.id)

    assert code == 0
    assert "COMPLETED" in terminal.text and "RUNNING" not in terminal.text
    assert (plain.code, "RUNNING" in plain.out) == (0, False)


async def test_a_watch_by_filter_shows_tasks_that_come_later(stack: Stack) -> None:
    @stack.tasks.task("mail.send", queue="mail")
    async def send() -> None: ...

    @stack.tasks.task("text.count", queue="text")
    async def count() -> None: ...

    async with Terminal.running(stack.address, "watch", "--queue", "mail") as terminal:
        while not all(hub._selections for hub in stack.server._hubs):
            await stack.store.redis.call(b"PING")
        await enqueue(stack, "text.count")
        async with stack.worker():
            mail = await enqueue(stack, "mail.send")
            await terminal.until(f"{mail.id} mail.send")
            await terminal.until("COMPLETED")
        terminal.interrupt()
        code = await terminal.end()

    assert code == 130
    assert "text.count" not in terminal.text
    assert "taskline watch --queue mail" in terminal.text


async def test_on_a_dumb_terminal_there_is_a_line_per_event(stack: Stack) -> None:
    stack.tasks.task("never.run")(never_run)
    task = await enqueue(stack, "never.run")
    await stack.stub.CancelTask(service.CancelTaskRequest(task_id=task.id))

    async with Terminal.running(stack.address, "watch", task.id, TERM="dumb") as terminal:
        code = await terminal.end()

    assert code == 4
    assert "\x1b" not in terminal.written
    first, second = terminal.text.splitlines()
    assert first.startswith(f"{task.id} CANCELLED never.run")
    assert second.startswith(f"{task.id} CANCELLED")


async def next_event(watch: "grpc.aio.UnaryStreamCall[Any, pb.TaskEvent]") -> pb.TaskEvent:
    event = await watch.read()
    assert isinstance(event, pb.TaskEvent)
    return event


async def never_run() -> None: ...
