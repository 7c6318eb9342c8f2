"""D22, D50, F6, FT6: progress is told as it was reported, and what is wrong harms nobody."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from taskline_service import TaskContext
from tests.requirements.wire import State, enqueue, get_task, result_within, whole_life
from tests.stack import Stack

PHASES = ["Phase: extract", "Phase: transform", "Phase: load"]


async def test_d22_phases_appear_in_order_and_those_that_are_logged_all_of_them(
    stack: Stack,
) -> None:
    @stack.tasks.task("phases")
    async def phases(ctx: TaskContext) -> None:
        for phase in PHASES:
            await ctx.progress.set_message(phase)
            await ctx.log(phase)

    task = await enqueue(stack, "phases")
    async with stack.worker():
        events = await whole_life(stack, task.id, task.resume_token)

    messages = [event.progress.message for event in events if event.HasField("progress")]
    assert messages == sorted(set(messages), key=PHASES.index)  # some may be passed over
    assert messages[-1] == PHASES[-1]
    assert [event.log.message for event in events if event.HasField("log")] == PHASES


async def test_d50_f6_5_get_task_has_the_progress_as_it_was_reported_and_when(
    stack: Stack,
) -> None:
    go, reported = asyncio.Event(), list[datetime]()

    @stack.tasks.task("half")
    async def half(ctx: TaskContext) -> None:
        await ctx.progress.set_total(8)
        await ctx.progress.increment(4)
        reported.append(datetime.now(UTC))
        await ctx.progress.set_message("half of it")
        reported.append(datetime.now(UTC))
        await go.wait()

    async with stack.worker():
        task = await enqueue(stack, "half")
        running = await stack.until(task.id, lambda seen: seen.progress.message == "half of it")
        again = await get_task(stack, task.id)
        go.set()
        ended = (await result_within(stack, task.id)).task

    progress = running.progress
    assert (progress.current, progress.total, progress.percentage) == (4, 8, 50)
    before, after = reported
    assert before <= progress.update_time.ToDatetime(tzinfo=UTC) <= after + timedelta(seconds=1)
    assert running.state == State.STATE_RUNNING
    assert progress == again.progress == ended.progress  # to read it does not make it newer


@pytest.mark.parametrize(
    ("current", "total", "percentage"),
    [(1, 3, 33.33), (2, 3, 66.67), (0, 3, 0.0), (3, 3, 100.0), (7, 3, 100.0), (-1, 3, 0.0)],
)
async def test_f6_2_the_percentage_has_two_decimals_and_lies_within_0_and_100(
    stack: Stack, current: float, total: float, percentage: float
) -> None:
    @stack.tasks.task("part")
    async def part(current: float, total: float, ctx: TaskContext) -> None:
        await ctx.progress.set_total(total)
        await ctx.progress.set_current(current)

    async with stack.worker():
        task = await enqueue(stack, "part", current=current, total=total)
        ended = (await result_within(stack, task.id)).task

    assert ended.progress.percentage == percentage


async def test_f6_6_ft6_malformed_progress_is_logged_and_ends_neither_task_nor_watch(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    @stack.tasks.task("clumsy", max_attempts=1)
    async def clumsy(ctx: TaskContext) -> list[str]:
        refused = list[str]()
        await ctx.progress.set_total(100)
        for bad in ("50", None, float("nan")):
            try:
                await ctx.progress.set_current(cast("Any", bad))
            except (TypeError, ValueError) as error:
                refused.append(str(error))
        await ctx.progress.set_current(150)
        await ctx.progress.set_message("m" * 10_000)
        await ctx.progress.increment(-1000)
        await ctx.progress.set_current(60)
        return refused

    task = await enqueue(stack, "clumsy")
    async with stack.worker():
        events = await whole_life(stack, task.id, task.resume_token)
        answer = await result_within(stack, task.id)

    assert answer.task.state == State.STATE_COMPLETED
    assert [value.string_value for value in answer.result.json.list_value.values] == [
        "current must be a number, not str",
        "current must be a number, not NoneType",
        "current must be a finite number",
    ]
    told = [event.progress for event in events if event.HasField("progress")]
    assert all(0 <= progress.percentage <= 100 for progress in told)
    assert (told[-1].current, told[-1].message) == (60, "m" * 497 + "...")
    assert events[-1].ended.state == State.STATE_COMPLETED
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"task {task.id}: progress 150 is over its total 100; capped" in warnings
