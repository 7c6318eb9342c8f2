"""`top` and `doctor` against a real deployment."""

import asyncio
import json

import pytest

from taskline_service import TaskContext
from tests.requirements.shell import Terminal, taskline
from tests.requirements.wire import enqueue
from tests.stack import Stack


async def test_top_shows_queues_rates_workers_and_running_tasks(stack: Stack) -> None:
    go = asyncio.Event()

    @stack.tasks.task("text.count", queue="text")
    async def count(ctx: TaskContext) -> None:
        await ctx.progress.set_total(4)
        await ctx.progress.increment(3)
        await go.wait()

    async with stack.worker(concurrency=7):
        task = await enqueue(stack, "text.count")
        await stack.until(task.id, lambda seen: seen.progress.current == 3)
        async with asyncio.timeout(30):  # a worker tells what it runs within a second
            while "1/7" not in (snapshot := await taskline(stack.address, "top")).out:
                pass
        async with Terminal.running(
            stack.address, "top", "--interval", "0.2", columns=120
        ) as terminal:
            await terminal.until("3/4 (75.0%)")
            go.set()
            await terminal.until("1 completed")
            terminal.interrupt()
            code = await terminal.end()

    for text in ("1 running", "enqueued 0", "text  open", "1/7", task.id, "3/4 (75.0%)"):
        assert text in snapshot.out, text
    assert (snapshot.code, snapshot.err, code) == (0, "", 0)
    assert "━" in terminal.text
    screens = terminal.written.split("\x1b[H")
    assert task.id not in screens[-1], "a task that has ended is not shown as running"


async def test_top_goes_on_when_the_server_comes_back(stack: Stack) -> None:
    async with Terminal.running(stack.address, "top", "--interval", "0.2") as terminal:
        await terminal.until("taskline ")
        await stack.store.redis.call(b"CLIENT", b"KILL", b"TYPE", b"normal")
        await enqueue_one(stack)
        await terminal.until("1 queued")
        terminal.interrupt()

        assert await terminal.end() == 0


async def test_doctor_tells_what_is_wrong_and_how_to_mend_it(stack: Stack) -> None:
    await enqueue_one(stack)

    table = await taskline(stack.address, "doctor")
    ids = await taskline(stack.address, "doctor", "-o", "id")
    whole = await taskline(stack.address, "doctor", "-o", "json")

    assert (table.code, whole.code) == (1, 1)
    assert {"workers", "unserved_queues", "unserved_types"} <= set(ids.out.split())
    checks = {each["check"]: each for each in json.loads(whole.out)["checks"]}
    assert checks["server"]["level"] == "ok"
    # The tests' own store writes no file.
    assert checks["store_persistence"]["level"] == "failed"
    assert "fix: start one: taskline worker" in table.out


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "Ctrl-C"])
async def test_a_key_ends_top_at_once_and_leaves_the_terminal_as_it_was(
    stack: Stack, key: str
) -> None:
    async with Terminal.running(stack.address, "top", "--interval", "1h") as terminal:
        await terminal.until("RUNS_FOR")
        assert not terminal.echoes
        terminal.type(key)

        assert await terminal.end() == 0
        assert terminal.echoes


async def test_doctor_tells_what_to_do_where_no_server_answers() -> None:
    table = await taskline("127.0.0.1:1", "doctor")
    whole = await taskline("127.0.0.1:1", "doctor", "-o", "json")

    assert (table.code, table.err, whole.code, whole.err) == (6, "", 6, "")
    found, fix = table.out.splitlines()
    assert found == "failed   server: no Taskline server answers at 127.0.0.1:1"
    assert "fix: " in fix and "taskline serve" in fix and "--address" in fix
    (check,) = json.loads(whole.out)["checks"]
    assert (check["check"], check["level"]) == ("server", "failed")


async def enqueue_one(stack: Stack) -> None:
    @stack.tasks.task("mail.send", queue="mail")
    async def send() -> None: ...

    await enqueue(stack, "mail.send")
