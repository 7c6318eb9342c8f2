"""The execution timeout and cancellation, for code in the worker that ignores them."""

import asyncio
import ctypes
import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest

from taskline_client import TaskCancelled, TaskFailed
from taskline_service import TaskContext
from taskline_service.store import Redis, TaskStore
from taskline_service.worker import attempt, loop_watch
from taskline_service.worker.time_limit import TimeLimit
from tests.stack import Stack

LIMIT = timedelta(seconds=30)
SHORT = timedelta(milliseconds=200)


@pytest.fixture(autouse=True)
def little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "INTERRUPT_GRACE_S", 0.3)


async def times_out(stack: Stack, task_type: str) -> None:
    handle = await stack.client.enqueue(task_type)
    with pytest.raises(TaskFailed, match=r"longer than its execution_timeout of 0\.2 s"):
        await handle.result(timeout=LIMIT)


class Stubborn:
    """Code that goes on whatever is raised in it, until the test lets it go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.ended = threading.Event()

    def loop(self) -> None:
        while not self.let_go.is_set():
            with suppress(BaseException):
                while not self.let_go.is_set():
                    time.sleep(0.001)
        self.ended.set()


async def test_a_busy_thread_that_ignores_its_timeout_is_left_behind_and_counted(
    stack: Stack, store: TaskStore, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = Stubborn()

    @stack.tasks.task("busy", timeout=SHORT, max_attempts=2, initial_backoff=timedelta(minutes=5))
    def busy() -> None:
        stubborn.loop()

    @stack.tasks.task("next")
    def following() -> str:
        return "its slot is free"

    caplog.set_level(logging.INFO)
    async with stack.worker(concurrency=1):
        handle = await stack.client.enqueue("busy")
        task = await stack.until(handle.id, lambda task: task.HasField("error"))
        after = await (await stack.client.enqueue("next")).result(timeout=LIMIT)
        left_behind = f"task-{handle.id} does not stop; threads left behind: 1"
        assert left_behind in caplog.messages
        stubborn.let_go.set()
        await asyncio.to_thread(stubborn.ended.wait, 20)

    assert (task.error.error_type, after) == (task.error.TYPE_TIMEOUT, "its slot is free")


@pytest.mark.one_partition
async def test_what_could_not_be_stopped_is_to_run_alone_next(
    stack: Stack, store: TaskStore
) -> None:
    stubborn = Stubborn()

    @stack.tasks.task("busy", timeout=SHORT, max_attempts=2, initial_backoff=timedelta(minutes=5))
    def busy() -> None:
        stubborn.loop()

    async with stack.worker():
        handle = await stack.client.enqueue("busy")
        await stack.until(handle.id, lambda task: task.HasField("error"))
        stubborn.let_go.set()
    key = store.keys.prefix + b"t:" + handle.id.encode()

    assert await store.redis.call(b"HMGET", key, b"fl", b"lo", b"al") == [b"1", None, b"1"]


async def test_a_thread_in_c_code_times_out(stack: Stack) -> None:
    @stack.tasks.task("in_c", timeout=SHORT, max_attempts=1)
    def in_c() -> None:
        ctypes.CDLL(None).usleep(2_000_000)

    async with stack.worker():
        await times_out(stack, "in_c")


async def test_async_code_that_swallows_its_cancellation_times_out(stack: Stack) -> None:
    let_go = asyncio.Event()

    @stack.tasks.task("swallows", timeout=SHORT, max_attempts=1)
    async def swallows() -> None:
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()

    async with stack.worker(concurrency=1):
        await times_out(stack, "swallows")
        await times_out(stack, "swallows")
        let_go.set()


@pytest.mark.parametrize("plain", [pytest.param(False, id="async"), pytest.param(True, id="plain")])
async def test_a_cancelled_task_that_ignores_everything_is_cancelled_after_the_grace(
    stack: Stack, plain: bool
) -> None:
    stubborn, let_go = Stubborn(), asyncio.Event()

    if plain:

        @stack.tasks.task("stubborn")
        def stubborn_plain(ctx: TaskContext) -> None:
            ctx.progress.increment()
            stubborn.loop()

    else:

        @stack.tasks.task("stubborn")
        async def stubborn_async(ctx: TaskContext) -> None:
            await ctx.progress.increment()
            while not let_go.is_set():
                with suppress(asyncio.CancelledError):
                    await let_go.wait()

    async with stack.worker():
        handle = await stack.client.enqueue("stubborn")
        await stack.until(handle.id, lambda task: task.progress.current > 0)
        await handle.cancel()
        with pytest.raises(TaskCancelled):
            await handle.result(timeout=LIMIT)
        stubborn.let_go.set()
        let_go.set()

    assert (await handle.get()).attempts == 1


# A blocked event loop


async def test_a_task_that_blocks_the_event_loop_is_named(
    stack: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_watch, "TOLD_AFTER_S", 0.3)

    @stack.tasks.task("block")
    async def block() -> None:
        # In a task of its own: it is still the code of that task.
        await asyncio.create_task(blocking())

    async def blocking() -> None:
        time.sleep(1.5)  # noqa: ASYNC251 - the very fault

    async with stack.worker():
        handle = await stack.client.enqueue("block")
        await handle.result(timeout=LIMIT)

    told = [message for message in caplog.messages if "stands still" in message]
    assert len(told) == 1
    assert f"task {handle.id} (block)" in told[0]
    assert "(blocking)" in told[0]


async def test_a_task_that_sleeps_on_the_event_loop_is_interrupted_when_its_time_is_over(
    stack: Stack,
) -> None:
    @stack.tasks.task("sleep", timeout=SHORT, max_attempts=1)
    async def sleep() -> None:
        time.sleep(25)  # noqa: ASYNC251 - the very fault

    @stack.tasks.task("beside")
    async def beside() -> str:
        return "goes on"

    async with stack.worker():
        started = time.monotonic()
        await times_out(stack, "sleep")
        assert time.monotonic() - started < 15
        assert await (await stack.client.enqueue("beside")).result(timeout=LIMIT) == "goes on"


@pytest.mark.one_partition
async def test_a_cancelled_task_that_blocks_the_event_loop_is_interrupted(stack: Stack) -> None:
    blocks = threading.Event()

    @stack.tasks.task("block")
    async def block() -> None:
        blocks.set()
        time.sleep(25)  # noqa: ASYNC251 - the very fault

    handle = await stack.client.enqueue("block")

    def cancel_meanwhile() -> None:
        blocks.wait(20)
        with asyncio.Runner() as runner:
            runner.run(_cancel(stack, handle.id))

    async with stack.worker(lease=timedelta(seconds=1)):
        cancelling = asyncio.get_running_loop().run_in_executor(None, cancel_meanwhile)
        with pytest.raises(TaskCancelled):
            await handle.result(timeout=timedelta(seconds=15))
        await cancelling


async def _cancel(stack: Stack, task_id: str) -> None:
    async with Redis(stack.redis) as redis:
        await TaskStore(redis, stack.store.keys).cancel(task_id)


# More time


@pytest.mark.parametrize("plain", [pytest.param(False, id="async"), pytest.param(True, id="plain")])
async def test_a_task_that_asks_for_more_time_has_it(stack: Stack, plain: bool) -> None:
    if plain:

        @stack.tasks.task("long", timeout=timedelta(seconds=1), max_attempts=1)
        def long_plain(ctx: TaskContext) -> str:
            ctx.extend_timeout(timedelta(seconds=30))
            time.sleep(1.5)
            return "had the time"

    else:

        @stack.tasks.task("long", timeout=timedelta(seconds=1), max_attempts=1)
        async def long_async(ctx: TaskContext) -> str:
            await asyncio.to_thread(ctx.extend_timeout, timedelta(seconds=30))
            await asyncio.sleep(1.5)
            return "had the time"

    async with stack.worker():
        handle = await stack.client.enqueue("long")
        assert await handle.result(timeout=LIMIT) == "had the time"


async def test_more_time_ends_too(stack: Stack) -> None:
    @stack.tasks.task("longer", timeout=SHORT, max_attempts=1)
    async def longer(ctx: TaskContext) -> None:
        ctx.extend_timeout(timedelta(milliseconds=500))
        await asyncio.sleep(600)

    async with stack.worker():
        handle = await stack.client.enqueue("longer")
        with pytest.raises(TaskFailed, match=r"execution_timeout of 0\.5"):
            await handle.result(timeout=LIMIT)


@pytest.mark.parametrize(
    ("time", "error"),
    [
        pytest.param(5, TypeError, id="no timedelta"),
        pytest.param(timedelta(0), ValueError, id="nothing"),
        pytest.param(timedelta(days=366), ValueError, id="too much"),
    ],
)
async def test_a_wrong_extension_is_refused(
    stack: Stack, time: timedelta, error: type[Exception]
) -> None:
    @stack.tasks.task("wrong", max_attempts=1)
    async def wrong(ctx: TaskContext) -> str:
        with pytest.raises(error):
            ctx.extend_timeout(time)
        return "refused"

    async with stack.worker():
        assert await (await stack.client.enqueue("wrong")).result(timeout=LIMIT) == "refused"


def test_an_extension_never_shortens_and_revives_nothing() -> None:
    limit = TimeLimit(timedelta(seconds=60))
    limit.begin()
    limit.extend(timedelta(seconds=1), asked_at=time.monotonic())
    assert limit.seconds == pytest.approx(60)

    limit.extend(timedelta(seconds=100), asked_at=time.monotonic() + 61)
    assert limit.seconds == pytest.approx(60)

    limit.extend(timedelta(seconds=100), asked_at=time.monotonic())
    assert limit.seconds == pytest.approx(100, abs=1)
