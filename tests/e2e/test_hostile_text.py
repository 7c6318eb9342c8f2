"""What a task says cannot harm who stores it, or steer the terminal of who reads it."""

import pytest

from taskline_client import EnqueueOptions, TaskFailed
from taskline_service import TaskContext
from taskline_service.execution.failures import MAX_MESSAGE_BYTES, MAX_TRACEBACK_BYTES
from tests.requirements.shell import taskline
from tests.stack import Stack

# NUL, colours, a window title, the clipboard, C1, a line to overwrite, text turned around.
HOSTILE = "\0\x1b[31mred\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x9b1mC1\rover\u202eback\nline two"
SPOKEN = "red"


def steers(text: str) -> set[str]:
    """The characters of an output that a terminal would act upon."""
    return {character for character in text if not character.isprintable()} - {"\n", "\t"}


async def test_an_error_text_of_ten_megabytes_is_stored_cut_and_shown_harmless(
    stack: Stack,
) -> None:
    @stack.tasks.task("shouts", max_attempts=1)
    async def shouts(ctx: TaskContext) -> None:
        await ctx.progress.set_message(HOSTILE)
        await ctx.log(HOSTILE)
        raise ValueError(HOSTILE + "x" * 10_000_000)

    async with stack.worker():
        handle = await stack.client.enqueue("shouts", options=EnqueueOptions(task_id="t"))
        with pytest.raises(TaskFailed) as caught:
            await handle.result()

    error = caught.value.error
    assert error is not None
    assert error.message.startswith(HOSTILE)
    assert len(error.message.encode()) <= MAX_MESSAGE_BYTES
    assert len(error.traceback.encode()) <= MAX_TRACEBACK_BYTES
    stored = await stack.store.redis.call(b"STRLEN", stack.store.keys.prefix + b"e:t")
    assert stored < MAX_MESSAGE_BYTES + MAX_TRACEBACK_BYTES + 1000
    for arguments in (["get", "t"], ["list"], ["result", "t"], ["watch", "t"]):
        ran = await taskline(stack.address, *arguments)
        assert SPOKEN in ran.out + ran.err, arguments
        assert steers(ran.out + ran.err) == set(), arguments
