"""`cancel`, `retry`, `delete` and queues: by name, and by filter with somebody's consent."""

import json
from collections.abc import AsyncIterator

import pytest

from taskline_client import EnqueueOptions
from tests.requirements.shell import Terminal, taskline
from tests.stack import Stack


@pytest.fixture
async def failed(stack: Stack) -> AsyncIterator[list[str]]:
    """The ids of three tasks that have failed; a fourth one waits."""

    @stack.tasks.task("bad", max_attempts=1)
    async def bad() -> None:
        raise ValueError("no")

    names = ["one", "two", "three"]
    async with stack.worker():
        for name in names:
            await stack.client.enqueue("bad", options=EnqueueOptions(task_id=name))
        for name in names:
            await stack.until(name, lambda task: task.HasField("end_time"))
    await stack.client.enqueue("bad", options=EnqueueOptions(task_id="waits", labels={"a": "b"}))
    yield names


async def states(stack: Stack) -> dict[str, str]:
    return {task.id: str(task.state) async for task in stack.client.list_tasks()}


async def test_named_tasks_are_changed_whatever_becomes_of_the_others(
    stack: Stack, failed: list[str]
) -> None:
    retried = await taskline(stack.address, "retry", "one", "nowhere", "waits", "two")
    deleted = await taskline(stack.address, "delete", "three", "-o", "id")
    cancelled = await taskline(
        stack.address, "cancel", "waits", "--reason", "closing", "-o", "json"
    )

    assert retried.code == 3
    assert [line.split()[0] for line in retried.out.splitlines()] == ["ID", "one", "two"]
    assert "nowhere" in retried.err and "waits" in retried.err
    assert (deleted.code, deleted.out) == (0, "three\n")
    assert json.loads(cancelled.out)["task"]["error"]["message"] == "closing"
    assert await states(stack) == {"one": "QUEUED", "two": "QUEUED", "waits": "CANCELLED"}


async def test_a_dry_run_counts_and_changes_nothing(stack: Stack, failed: list[str]) -> None:
    before = await states(stack)

    ran = [
        await taskline(stack.address, *command, "--dry-run")
        for command in (
            ("retry", "--state", "failed"),
            ("delete", "--all"),
            ("cancel", "--label", "a=b"),
        )
    ]

    assert [each.out for each in ran] == [
        "would retry 3 tasks\n",
        "would delete 3 tasks\n",
        "would cancel 1 task\n",
    ]
    assert await states(stack) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("delete", "--state", "failed"), "--yes", id="nobody to ask"),
        pytest.param(("delete",), "--all", id="nothing said is not everything"),
        pytest.param(("delete", "one", "--all", "--yes"), "--all", id="both"),
        pytest.param(("delete", "one", "--dry-run"), "--dry-run", id="a dry run of a name"),
    ],
)
async def test_without_consent_nothing_is_changed(
    stack: Stack, failed: list[str], arguments: tuple[str, ...], said: str
) -> None:
    before = await states(stack)

    ran = await taskline(stack.address, *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert await states(stack) == before


async def test_yes_changes_without_asking(stack: Stack, failed: list[str]) -> None:
    ran = await taskline(stack.address, "delete", "--state", "failed", "--yes", "-o", "jsonl")

    assert (ran.code, ran.out) == (0, '{"count":"3"}\n')
    assert await states(stack) == {"waits": "QUEUED"}


@pytest.mark.parametrize(
    ("answer", "left"),
    [("n\n", 4), ("\n", 4), ("y\n", 1), ("what?\nYes\n", 1)],
    ids=["who declines", "who says nothing", "who agrees", "who agrees when asked again"],
)
async def test_on_a_terminal_it_asks(
    stack: Stack, failed: list[str], answer: str, left: int
) -> None:
    async with Terminal.running(stack.address, "delete", "--task-type", "bad") as terminal:
        await terminal.until("delete 3 tasks? [y/N]")
        terminal.type(answer)
        code = await terminal.end()

    assert code == 0
    assert ("nothing was changed" in terminal.text) == (left == 4)
    assert len(await states(stack)) == left


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
async def test_an_interrupt_at_the_question_ends_it_at_once_and_nothing_is_changed(
    stack: Stack, failed: list[str], key: str
) -> None:
    async with Terminal.running(stack.address, "delete", "--task-type", "bad") as terminal:
        await terminal.until("delete 3 tasks? [y/N]")
        terminal.type(key)
        code = await terminal.end()

    assert code == 130
    assert "nothing was changed" in terminal.text and "Traceback" not in terminal.text
    assert len(await states(stack)) == 4


async def test_a_queue_that_is_paused_before_it_has_tasks_says_so(
    stack: Stack, failed: list[str]
) -> None:
    known = await taskline(stack.address, "queues", "pause", "default")
    unknown = await taskline(stack.address, "queues", "pause", "defualt", "-o", "id")

    assert (known.code, known.err) == (0, "")
    assert (unknown.code, unknown.out) == (0, "defualt\n")
    assert unknown.err == "taskline: no task is on queue defualt; it is paused for those to come\n"


async def test_queues_are_paused_and_resumed(stack: Stack, failed: list[str]) -> None:
    paused = await taskline(stack.address, "queues", "pause", "default", "later")
    shown = await taskline(stack.address, "queues")
    resumed = await taskline(stack.address, "queues", "resume", "later", "-o", "json")

    for table in (paused, shown):
        assert [line.split()[:2] for line in table.out.splitlines()[1:]] == [
            ["default", "paused"],
            ["later", "paused"],
        ]
    assert json.loads(resumed.out)["queue"]["name"] == "later"
    misplaced = await taskline(stack.address, "queues", "-o", "json", "ls")
    assert (misplaced.code, "after `ls`" in misplaced.err) == (2, True)
