"""Whoever enqueues a task and follows it sees its whole life, however fast it is."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from taskline_client import (
    Ended,
    EnqueueOptions,
    EnqueueRequest,
    LogLine,
    Output,
    Snapshot,
    StateChanged,
    TaskEvent,
    TaskHandle,
)
from taskline_client.requests import ConflictPolicy
from taskline_service import TaskContext
from tests.requirements.shell import taskline
from tests.requirements.wire import result_within
from tests.stack import Stack

TASKS = 30
RUNS = 8  # of a process each
LIFE = [Snapshot, StateChanged, LogLine, Output, Output, Output, Ended]


@pytest.fixture(autouse=True)
def yields(stack: Stack) -> None:
    """A task that has said everything as soon as it runs."""

    @stack.tasks.task("yields")
    async def yields(ctx: TaskContext) -> AsyncIterator[int]:
        await ctx.log("here they come")
        for value in range(3):
            yield value


async def life_of(handle: TaskHandle[None]) -> list[TaskEvent]:
    """Without progress, of which only the latest counts."""
    async with aclosing(handle.watch()) as events:
        return [event async for event in events if type(event) in LIFE]


def assert_whole(events: list[TaskEvent]) -> None:
    assert [type(event) for event in events] == LIFE
    assert [event.value for event in events if isinstance(event, Output)] == [0, 1, 2]
    sequences = [event.sequence for event in events]
    assert sequences == sorted(set(sequences))


async def test_no_output_of_a_task_is_missed_that_yields_at_once(stack: Stack) -> None:
    async with stack.worker():
        for _ in range(TASKS):
            assert_whole(await life_of(await stack.client.enqueue("yields")))


async def test_a_watch_that_comes_after_the_end_still_tells_the_whole_life(stack: Stack) -> None:
    async with stack.worker():
        handles = await stack.client.enqueue_many([EnqueueRequest("yields")] * TASKS)
        for handle in handles:
            await result_within(stack, handle.id)

        for handle in handles:
            assert_whole(await life_of(handle))


async def test_the_snapshot_of_an_enqueued_task_is_the_one_the_server_gives(stack: Stack) -> None:
    handle = await stack.client.enqueue("yields")

    async with aclosing(handle.watch()) as ours, aclosing(stack.client.watch(handle.id)) as theirs:
        own, given = await anext(ours), await anext(theirs)

    assert isinstance(own, Snapshot) and isinstance(given, Snapshot)
    assert own.task == given.task
    assert (own.task_id, own.event_time, own.gap) == (given.task_id, given.event_time, given.gap)


async def test_a_task_that_was_there_already_is_followed_from_where_it_was_found(
    stack: Stack,
) -> None:
    options = EnqueueOptions(task_id="the-one", conflict_policy=ConflictPolicy.USE_EXISTING)
    await stack.client.enqueue("yields", options=options)
    found = await stack.client.enqueue("yields", options=options)
    async with stack.worker():
        await result_within(stack, found.id)
        assert_whole(await life_of(found))
        ended = await stack.client.enqueue("yields", options=options)

        events = await life_of(ended)

    assert not found.created
    assert [type(event) for event in events] == [Snapshot, Ended]


async def test_a_task_with_a_delay_is_followed_from_its_schedule_on(stack: Stack) -> None:
    options = EnqueueOptions(delay=timedelta(milliseconds=20))
    async with stack.worker():
        events = await life_of(await stack.client.enqueue("yields", options=options))

    assert [type(event) for event in events] == [Snapshot, StateChanged, *LIFE[1:]]


async def test_run_prints_the_first_output_each_time(stack: Stack) -> None:
    async with stack.worker():
        for _ in range(RUNS):
            ran = await taskline(stack.address, "run", "yields")

            said = [line.split(" ", 1)[1] for line in ran.err.splitlines() if ": " in line]
            outputs = [line for line in said if line.startswith("output: ")]
            assert ran.code == 0
            assert outputs == ["output: 0", "output: 1", "output: 2"]
            assert "log: here they come" in said


async def test_run_prints_as_json_what_it_prints_to_people(stack: Stack) -> None:
    async with stack.worker():
        ran = await taskline(stack.address, "run", "yields", "-o", "jsonl")

    events = [json.loads(line) for line in ran.out.splitlines()]
    assert [event["output"]["json"] for event in events if "output" in event] == [0, 1, 2]
    assert "snapshot" in events[0] and "ended" in events[-1]
