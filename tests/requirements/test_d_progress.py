"""D15-D21: how a task tells how far it is."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskContext
from tests.requirements.wire import enqueue, get_task, result_within, whole_life
from tests.stack import Stack

Report = Callable[[TaskContext], Awaitable[None]]


async def told_by(stack: Stack, report: Report) -> tuple[list[pb.Progress], pb.Progress]:
    """The progress that a watcher and GetTask see of a task that reports like that."""

    @stack.tasks.task("reports")
    async def reports(ctx: TaskContext) -> None:
        await report(ctx)

    async with stack.worker():
        task = await enqueue(stack, "reports")
        events = await whole_life(stack, task.id, task.resume_token)
    watched = [event.progress for event in events if event.HasField("progress")]
    return watched, (await get_task(stack, task.id)).progress


async def _increment(ctx: TaskContext, by: int) -> None:
    await ctx.progress.increment(by)


async def test_d15_a_task_gets_its_reporter_by_its_type_alone(stack: Stack) -> None:
    @stack.tasks.task("whatever.the.name")
    async def task_function(name: str, *, anything: TaskContext) -> None:
        await anything.progress.set_message(f"Hello, {name}!")

    async with stack.worker():
        task = await enqueue(stack, "whatever.the.name", name="Ada")
        ended = await result_within(stack, task.id)

    assert ended.task.progress.message == "Hello, Ada!"


async def test_d16_a_total_is_seen_by_watchers_and_by_get_task(stack: Stack) -> None:
    async def report(ctx: TaskContext) -> None:
        await ctx.progress.set_total(60)

    watched, stored = await told_by(stack, report)

    assert watched == [stored]
    assert (stored.total, stored.current) == (60, 0)


async def test_d17_increment_adds_one(stack: Stack) -> None:
    async def report(ctx: TaskContext) -> None:
        await ctx.progress.increment()

    watched, stored = await told_by(stack, report)

    assert watched == [stored]
    assert stored.current == 1


async def test_d18_no_increment_is_lost_among_many_at_once(stack: Stack) -> None:
    def from_a_thread(ctx: TaskContext) -> None:
        for _ in range(100):
            ctx.progress.increment(7)

    async def report(ctx: TaskContext) -> None:
        threads = [threading.Thread(target=from_a_thread, args=(ctx,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(_increment(ctx, 100) for _ in range(50)))
        for thread in threads:
            await asyncio.to_thread(thread.join)

    watched, stored = await told_by(stack, report)

    assert stored.current == 4 * 100 * 7 + 50 * 100
    assert watched[-1] == stored


async def test_d19_a_message_changes_and_is_delivered(stack: Stack) -> None:
    seen = asyncio.Event()

    @stack.tasks.task("two.phases")
    async def two_phases(ctx: TaskContext) -> None:
        await ctx.progress.set_message("extract")
        await seen.wait()
        await ctx.progress.set_message("load")

    task = await enqueue(stack, "two.phases")
    request = service.WatchRequest(task_ids=[task.id], resume_token=task.resume_token)
    messages = []
    async with stack.worker():
        async for event in stack.stub.Watch(request):
            if event.HasField("progress"):
                messages.append(event.progress.message)
                seen.set()

    assert messages == ["extract", "load"]


async def test_d20_a_thousand_records_in_batches_are_few_writes(stack: Stack) -> None:
    @stack.tasks.task("records")
    async def records(ctx: TaskContext) -> None:
        await ctx.progress.set_total(1000)
        for _ in range(10):
            await ctx.progress.increment(100)

    async with stack.worker():
        task = await enqueue(stack, "records")
        events = await whole_life(stack, task.id, task.resume_token)
    progress = (await get_task(stack, task.id)).progress

    assert (progress.current, progress.total) == (1000, 1000)
    # Whatever is written raises the sequence: enqueued, started, ended, and progress.
    assert events[-1].sequence - 3 <= 20


async def test_d21_phases_within_a_whole_add_up_exactly(stack: Stack) -> None:
    async def report(ctx: TaskContext) -> None:
        await ctx.progress.set_total(300)
        for phase in (1, 2, 3):
            done = 0
            for now in (0, 33, 66, 100):
                await ctx.progress.increment(now - done)  # also by nothing
                done = now
            assert ctx.progress.current == phase * 100

    watched, stored = await told_by(stack, report)

    assert (stored.current, stored.total, stored.percentage) == (300, 300, 100)
    assert watched[-1] == stored
