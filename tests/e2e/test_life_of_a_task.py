"""The tutorial: what a task goes through, from being enqueued to its result. Read this first."""

from datetime import timedelta

import pytest

from taskline_client import TaskFailed, TaskState
from taskline_service import TaskContext
from tests.stack import Stack


async def test_a_task_is_enqueued_executed_and_answered(stack: Stack) -> None:
    @stack.tasks.task("greet")
    async def greet(name: str) -> str:
        return f"Hello, {name}!"

    async with stack.worker():
        handle = await stack.client.enqueue("greet", name="Ada")
        result = await handle.result(timeout=timedelta(seconds=10))

    assert result == "Hello, Ada!"
    task = await handle.get()
    assert task.state is TaskState.COMPLETED
    assert task.attempts == 1


async def test_a_failing_task_is_tried_again(stack: Stack) -> None:
    attempts: list[int] = []

    @stack.tasks.task("flaky", initial_backoff=timedelta(milliseconds=10))
    async def flaky(ctx: TaskContext) -> str:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionError("not yet")
        return "at last"

    async with stack.worker():
        result = await (await stack.client.enqueue("flaky")).result()

    assert result == "at last"
    assert attempts == [1, 2, 3]


async def test_a_task_that_keeps_failing_ends_with_its_error(stack: Stack) -> None:
    @stack.tasks.task("broken", max_attempts=1)
    def broken() -> None:
        raise ValueError("no good")

    async with stack.worker():
        handle = await stack.client.enqueue("broken")
        with pytest.raises(TaskFailed, match="no good") as failed:
            await handle.result()

    assert failed.value.error.exception_class == "builtins.ValueError"
    assert "raise ValueError" in failed.value.error.traceback
