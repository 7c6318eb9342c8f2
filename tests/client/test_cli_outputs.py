"""What commands print, for people, for programs, and for terminals of every kind."""

import asyncio
import json
import os
import subprocess
import sys
from subprocess import PIPE

import pytest

from taskline_client import EnqueueOptions
from taskline_client.cli.tables import Column, print_plain
from taskline_service import TaskContext
from tests.requirements.shell import TASKLINE, Ran, Terminal, taskline
from tests.stack import Stack


async def ended(stack: Stack, **labels: str) -> str:
    """A task that has failed, with words in many scripts and a hostile label."""

    @stack.tasks.task("text.say", max_attempts=1)
    async def say(ctx: TaskContext) -> None:
        await ctx.log("日本語 done")
        raise ValueError("日本語 😀 é")

    async with stack.worker():
        handle = await stack.client.enqueue(
            "text.say", options=EnqueueOptions(task_id="t" * 128, labels=labels)
        )
        await stack.until(handle.id, lambda task: task.HasField("end_time"))
    return handle.id


async def test_a_table_fits_a_terminal_and_is_whole_in_a_pipe(stack: Stack) -> None:
    task_id = await ended(stack)

    piped = await taskline(stack.address, "list")
    async with Terminal.running(stack.address, "list", columns=80) as terminal:
        code = await terminal.end()

    assert task_id in piped.out and "日本語 😀 é" in piped.out
    assert code == 0
    assert all(len(line) <= 80 for line in terminal.text.splitlines())
    assert "FAILED" in terminal.text
    assert "".join(line.split()[0] for line in terminal.text.splitlines()[2:]).startswith(task_id)


COLUMNS = ("ID", "TASK_TYPE", "QUEUE", "STATE", "ATTEMPTS", "CREATE_TIME", "ERROR")


@pytest.mark.parametrize(
    ("width", "hidden"),
    [
        pytest.param(80, {"QUEUE", "ATTEMPTS", "CREATE_TIME"}, id="80"),
        pytest.param(100, {"ATTEMPTS", "CREATE_TIME"}, id="100"),
        pytest.param(160, set[str](), id="160"),
    ],
)
async def test_columns_without_room_are_named_and_an_error_can_be_read_beside_the_others(
    stack: Stack, width: int, hidden: set[str]
) -> None:
    @stack.tasks.task("text.count_words", queue="documents", max_attempts=1)
    async def count() -> float:
        return 1 / 0

    async with stack.worker():
        task = await stack.client.enqueue(
            "text.count_words", options=EnqueueOptions(task_id="t" * 32)
        )
        await stack.until(task.id, lambda each: each.HasField("end_time"))
    async with Terminal.running(stack.address, "list", columns=width) as terminal:
        await terminal.end()

    heading, _, row, *notes = terminal.text.splitlines()
    assert set(heading.split()) == set(COLUMNS) - hidden
    assert "ZeroDivisionErr" in row and "builtins" not in row
    assert "ZeroDivisionError: divi" in row or width == 80
    names = ", ".join(name for name in COLUMNS if name in hidden)
    note = f"not shown: {names} (with a wider terminal, or -o json)"
    assert notes == ([note] if hidden else [])


async def test_wide_characters_take_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_plain((Column("A"), Column("B")), [("日本", "x"), ("abc", "y")], sys.stdout)

    assert capsys.readouterr().out.splitlines() == ["A     B", "日本  x", "abc   y"]


async def test_what_an_encoding_lacks_is_escaped_as_json_does(stack: Stack) -> None:
    @stack.tasks.task("text.echo")
    async def echo() -> str:
        return "é 😀"

    async with stack.worker():
        handle = await stack.client.enqueue("text.echo")
        await handle.result()

    ran = await taskline(stack.address, "result", handle.id, PYTHONIOENCODING="ascii")

    assert ran == Ran(0, '"\\u00e9 \\ud83d\\ude00"\n', "")
    assert json.loads(ran.out) == "é 😀"


async def test_a_reader_that_leaves_ends_the_command_quietly(stack: Stack) -> None:
    await ended(stack)
    process = await asyncio.create_subprocess_exec(
        *(TASKLINE, "list", "--address", stack.address), stdout=PIPE, stderr=PIPE
    )
    assert process.stdout and process.stderr
    process.stdout._transport.close()  # type: ignore[attr-defined]

    err = await process.stderr.read()

    assert (await process.wait(), err) == (141, b"")


@pytest.mark.parametrize("command", ["version", "list"])
async def test_an_output_that_cannot_be_written_is_no_task_that_failed(
    stack: Stack, command: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$0" "$@" >/dev/full', TASKLINE, command),
        env={**os.environ, "TASKLINE_ADDRESS": stack.address},
        stderr=PIPE,
    )

    _, err = await process.communicate()

    assert process.returncode == 74
    told = err.decode().splitlines()
    assert told[-1] == "taskline: the output cannot be written: No space left on device"
    assert "Traceback" not in err.decode()


async def test_arguments_that_are_no_text_are_refused() -> None:
    process = await asyncio.create_subprocess_exec(
        *(TASKLINE, "enqueue", "text.echo", b"path=\xff"), stdout=PIPE, stderr=PIPE
    )

    _, err = await process.communicate()

    assert process.returncode == 2
    assert b"is not valid text" in err and b"Traceback" not in err


@pytest.mark.parametrize("command", ["list", "queues", "workers", "types"])
async def test_an_empty_list_says_so_and_keeps_its_heading_for_programs(
    stack: Stack, command: str
) -> None:
    table = await taskline(stack.address, command)
    ids = await taskline(stack.address, command, "-o", "id")
    objects = await taskline(stack.address, command, "-o", "jsonl")

    assert (table.code, len(table.out.splitlines()), table.err[:12]) == (0, 1, "taskline: no")
    assert ids == Ran(0, "", "")
    assert objects.code == 0


@pytest.mark.parametrize("command", [("list",), ("doctor",), ("watch", "t" * 128)])
async def test_no_color_means_none(stack: Stack, command: tuple[str, ...]) -> None:
    await ended(stack)

    async with Terminal.running(stack.address, *command, NO_COLOR="1") as terminal:
        await terminal.end()

    colours = [part for part in terminal.written.split("\x1b[")[1:] if part.startswith("3")]
    assert terminal.text and colours == []


async def test_events_tell_the_whole_story(stack: Stack) -> None:
    task_id = await ended(stack)

    table = await taskline(stack.address, "events", task_id)
    lines = await taskline(stack.address, "events", task_id, "-o", "jsonl")
    whole = await taskline(stack.address, "events", task_id, "-o", "json")

    story = [line.split(" ", 1)[1] for line in table.out.splitlines() if line.startswith("2")]
    assert [text.split()[0] for text in story] == ["QUEUED", "RUNNING", "log:", "FAILED"]
    assert "Traceback (most recent call last)" in table.out
    assert [json.loads(line) for line in lines.out.splitlines()] == json.loads(whole.out)["events"]


async def test_a_type_is_described_with_its_schemas(stack: Stack) -> None:
    @stack.tasks.task("text.count", queue="text")
    async def count(path: str, top: int = 10) -> int:
        """Count words.

        All of them.
        """
        return len(path) + top

    async with stack.worker():
        handle = await stack.client.enqueue("text.count", path="x")
        await handle.result()
        table = await taskline(stack.address, "types", "text.count")
        unknown = await taskline(stack.address, "types", "text.cuont")
        whole = await taskline(stack.address, "types", "text.count", "-o", "json")

    assert "All of them." in table.out and '"path"' in table.out
    assert (unknown.code, "text.cuont" in unknown.err) == (3, True)
    assert json.loads(whole.out)["taskType"]["queue"] == "text"


async def test_stats_count_by_state_and_type(stack: Stack) -> None:
    await ended(stack)

    table = await taskline(stack.address, "stats", "--window", "10m")
    ids = await taskline(stack.address, "stats", "-o", "id")
    none = await taskline(stack.address, "stats", "--queue", "elsewhere", "-o", "json")

    facts = dict(line.split(maxsplit=1) for line in table.out.split("\n\n")[0].splitlines())
    assert (facts["FAILED"], facts["total"], facts["success_rate"]) == ("1", "1", "0.0%")
    assert "error_type runtime" in table.out and "START_TIME" in table.out
    assert ids.out == "text.say\n"
    assert "total" not in json.loads(none.out)


async def test_a_task_can_be_checked_without_being_enqueued(stack: Stack) -> None:
    await ended(stack)

    good = await taskline(stack.address, "enqueue", "text.say", "--validate-only")
    bad = await taskline(stack.address, "enqueue", "text.say", "no=1", "--validate-only")
    listed = await taskline(stack.address, "list", "-o", "id")

    assert good == Ran(0, "valid: text.say on queue default\n", "")
    assert (bad.code, listed.out) == (2, f"{'t' * 128}\n")


def test_the_help_is_shown_without_what_only_commands_need() -> None:
    code = "\n".join(
        (
            "import sys",
            "from taskline_client.cli.app import run",
            "sys.argv = ['taskline', '--help']",
            "try: run()",
            "finally: print(*sys.modules)",
        )
    )
    command = [sys.executable, "-c", code]

    ran = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    loaded = set(ran.splitlines()[-1].split())
    assert "serve " in ran and "typer" in loaded
    assert not {"grpc", "google.protobuf", "rich.console", "pydantic", "asyncio"} & loaded
