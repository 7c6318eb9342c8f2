"""Tasks that enqueue tasks, in every place where code can run."""

import asyncio
from datetime import datetime, timedelta

from taskline_service import (
    ConflictPolicy,
    EnqueueOptions,
    RetryPolicy,
    SubtaskFailed,
    TaskContext,
    TaskRegistry,
)

tasks = TaskRegistry()


@tasks.task("leaf", max_attempts=1)
async def leaf(number: int) -> int:
    if number < 0:
        raise ValueError("below zero")
    return number * number


async def _sum_of_squares(ctx: TaskContext, count: int) -> int:
    parts = [await ctx.enqueue(leaf, number) for number in range(count)]
    return sum(await ctx.gather(*parts))


@tasks.task("on_loop", max_attempts=1)
async def on_loop(ctx: TaskContext, count: int) -> int:
    return await _sum_of_squares(ctx, count)


@tasks.task("in_thread", max_attempts=1)
def in_thread(ctx: TaskContext, count: int) -> int:
    return ctx.wait_for(_sum_of_squares(ctx, count))


@tasks.task("in_process", max_attempts=1, executor="process")
def in_process(ctx: TaskContext, count: int) -> int:
    return ctx.wait_for(_sum_of_squares(ctx, count))


@tasks.task("in_process_loop", max_attempts=1, executor="process")
async def in_process_loop(ctx: TaskContext, count: int) -> int:
    return await _sum_of_squares(ctx, count)


@tasks.task("depth_in_processes", max_attempts=1, executor="process")
def depth_in_processes(ctx: TaskContext, depth: int) -> int:
    return 1 + ctx.wait_for(ctx.run(depth_in_processes, depth - 1)) if depth else 0


@tasks.task("fibonacci", max_attempts=1)
async def fibonacci(ctx: TaskContext, number: int) -> int:
    if number < 2:
        return number
    before = await ctx.enqueue("fibonacci", number=number - 1)
    return int(await before.result()) + int(await ctx.run("fibonacci", {"number": number - 2}))


@tasks.task("catches", max_attempts=1, executor="process")
async def catches(ctx: TaskContext) -> list[str]:
    told = []
    part = await ctx.enqueue(leaf, -1)
    try:
        await part.result()
    except SubtaskFailed as failed:
        told += [failed.error.exception_class, failed.__notes__[0].splitlines()[-1]]
    try:
        await (await ctx.enqueue("never")).result(timeout=timedelta(milliseconds=50))
    except TimeoutError as late:
        told.append(str(late).split(" ", 2)[2])
    return told


@tasks.task("on_loop_of_failures", max_attempts=1)
async def on_loop_of_failures(ctx: TaskContext) -> None:
    await ctx.run(leaf, -1)


@tasks.task("never")
async def never() -> None:
    await asyncio.Event().wait()


async def order(ctx: TaskContext, due: datetime) -> list[str]:
    """Two tasks with every option there is."""
    full = EnqueueOptions(
        task_id=f"part.{ctx.task_type}",
        conflict_policy=ConflictPolicy.REPLACE_TERMINAL,
        queue="later",
        priority=9,
        schedule_time=due,
        queue_timeout=timedelta(days=1),
        execution_timeout=timedelta(minutes=2),
        retry_policy=RetryPolicy(
            max_attempts=7, max_backoff=timedelta(minutes=30), backoff_multiplier=1.5
        ),
        result_ttl=timedelta(days=2),
        labels={"a": "b"},
    )
    repeatable = EnqueueOptions(
        request_id=f"again.{ctx.task_type}", priority=3, delay=timedelta(hours=1)
    )
    first = await ctx.enqueue(leaf, full, 1)
    second = await ctx.enqueue(leaf, repeatable, 2)
    same = await ctx.enqueue("leaf", number=2, options=repeatable)
    assert (same.created, same.id) == (True, second.id)  # the same request
    return [first.id, second.id]


@tasks.task("orders.in_process", max_attempts=1, executor="process")
async def orders_in_process(ctx: TaskContext, due: datetime) -> list[str]:
    return await order(ctx, due)


@tasks.task("waits_in_process", max_attempts=1, executor="process")
def waits_in_process(ctx: TaskContext) -> None:
    part = ctx.wait_for(ctx.enqueue("never"))
    ctx.progress.set_message(part.id)
    ctx.wait_for(part.result())


@tasks.task("waits_in_thread", max_attempts=1)
def waits_in_thread(ctx: TaskContext) -> None:
    part = ctx.wait_for(ctx.enqueue("never"))
    ctx.progress.set_message(part.id)
    ctx.wait_for(part.result())


@tasks.task("waits_on_loop", max_attempts=1)
async def waits_on_loop(ctx: TaskContext) -> None:
    part = await ctx.enqueue("never")
    await ctx.progress.set_message(part.id)
    await part.result()
