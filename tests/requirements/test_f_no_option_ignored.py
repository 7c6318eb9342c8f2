"""F3.3: no option of a command is accepted and ignored.

Of each option there are two command lines that differ in it alone, and it makes a difference.
The options are those that the commands have, so that a new one has to come with its difference.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from taskline_client.cli import app as client
from taskline_service import commands
from taskline_service.config import FsckConfig, ServeConfig, WorkerConfig
from tests.requirements.shell import ROOT, TASKLINE

Command = tuple[str, ...]

_RANDOM_ID = re.compile(r"\b(?:[0-9a-v]{26}|[0-9a-f]{32})\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?")
NO_SERVER = ("--address", "127.0.0.1:1")


def options_of(app: typer.Typer) -> set[str]:
    """Each command with each of its options, as people write them."""
    return set(_options_below(typer.main.get_command(app), ()))


def _options_below(group: Any, path: Command) -> Iterator[str]:
    for name, command in group.commands.items():
        here = (*path, name)
        for option in command.params:
            if option.opts[0].startswith("-"):
                yield f"{' '.join(here)} {option.opts[0]}"
        if hasattr(command, "commands"):
            yield from _options_below(command, here)


# The client's commands, against a server


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """A server with a task that has completed, one that has failed, and one that waits."""
    with tempfile.TemporaryDirectory(prefix="taskline-test-") as folder:
        serve = ("serve", "--tasks", "examples.tasks:tasks", "--listen", "127.0.0.1:0")
        own = {k: v for k, v in os.environ.items() if not k.startswith("TASKLINE_")}
        with subprocess.Popen(
            (TASKLINE, *serve, "--data-dir", folder, "--log-level", "error"),
            cwd=ROOT,
            env=own,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            address = process.stdout.readline().split()[-1]
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("TASKLINE_ADDRESS", address)
                for args in (
                    (*DIVIDE, "--task-id", "done"),
                    ("enqueue", "demo.divide", "dividend=1", "divisor=0", "--task-id", "failed"),
                    (*SLEEP, "--task-id", "waits"),
                    (*SLEEP, "--task-id", "unwanted"),
                ):
                    assert taskline(*args, *KEPT).exit_code == 0
                for ended in ("done", "failed"):
                    taskline("result", ended, "--wait")
                yield
            process.terminate()


def taskline(*args: str) -> Result:
    """A command in this process; what it needs of its environment is there."""
    return CliRunner().invoke(client.app, args)


# What a filter finds of the tasks that are there from the start, and of no others.
KEPT = ("--label", "kept=yes")
# Of each option of a filter, a value that none of them has.
FILTERS: dict[str, Command] = {
    "--queue": ("other",),
    "--task-type": ("text.count_words",),
    "--label": ("more=x",),
    "--min-create-time": ("0s",),
    "--max-create-time": ("1h",),
    "--min-end-time": ("0s",),
    "--max-end-time": ("1h",),
    "--min-attempts": ("2",),
    "--error-type": ("timeout",),
    "--worker": ("nobody",),
}
CHANGES = ("cancel", "retry", "delete")
# A state in which no task is that the change is for.
NONE_TO = {"cancel": "failed", "retry": "queued", "delete": "queued"}

DIVIDE = ("enqueue", "demo.divide", "dividend=1", "divisor=4")
SLEEP = ("enqueue", "demo.sleep", "seconds=1", "--delay", "3600")
RUN = ("run", "demo.divide", "dividend=1", "divisor=4")
BY_JSON = '{"dividend": 2, "divisor": 4}'

# What each command is, and what the option is then set to.
CLIENT: dict[str, tuple[Command, Command]] = {
    "enqueue --json": (("enqueue", "demo.divide"), ("--json", BY_JSON)),
    "enqueue --task-id": (DIVIDE, ("--task-id", "mine")),
    "enqueue --queue": (DIVIDE, ("--queue", "other")),
    "enqueue --priority": (DIVIDE, ("--priority", "5")),
    "enqueue --delay": (DIVIDE, ("--delay", "3600")),
    "enqueue --label": (DIVIDE, ("--label", "k=v")),
    "enqueue --request-id": (DIVIDE, ("--request-id", "once")),
    "enqueue --output": (DIVIDE, ("-o", "id")),
    "enqueue --address": (DIVIDE, NO_SERVER),
    "run --json": (("run", "demo.divide"), ("--json", BY_JSON)),
    "run --task-id": (RUN, ("--task-id", "mine-2")),
    "run --queue": (RUN, ("--queue", "other")),
    "run --priority": (RUN, ("--priority", "5")),
    "run --delay": (RUN, ("--delay", "0.2")),
    "run --label": (RUN, ("--label", "k=v")),
    "run --request-id": (RUN, ("--request-id", "once-2")),
    "run --output": (RUN, ("-o", "id")),
    "run --address": (RUN, NO_SERVER),
    "enqueue --conflict-policy": (
        (*DIVIDE, "--task-id", "done"),
        ("--conflict-policy", "use_existing"),
    ),
    "run --conflict-policy": (
        (*RUN, "--task-id", "done"),
        ("--conflict-policy", "use_existing"),
    ),
    **{
        f"{command[0]} {option}": (command, (option, value))
        for command in (DIVIDE, RUN)
        for option, value in (
            ("--queue-timeout", "1h"),
            ("--execution-timeout", "77s"),
            ("--max-attempts", "7"),
            ("--initial-backoff", "7s"),
            ("--max-backoff", "7m"),
            ("--backoff-multiplier", "3"),
            ("--result-ttl", "30000d"),
        )
    },
    "enqueue --schedule-time": (DIVIDE, ("--schedule-time", "2099-01-01")),
    "run --schedule-time": (RUN, ("--schedule-time", "yesterday")),
    "watch --output": (("watch", "done"), ("-o", "id")),
    "watch --address": (("watch", "done"), NO_SERVER),
    "watch --timeout": (("watch", "waits", "--timeout", "0.2"), ("--timeout", "0.1")),
    **{
        f"watch {added[0]}": (("watch", "--timeout", "0.1"), added)
        for added in (("--queue", "q"), ("--task-type", "t"), ("--label", "a=b"), ("--all",))
    },
    "wait --output": (("wait", "done"), ("-o", "id")),
    "wait --address": (("wait", "done"), NO_SERVER),
    "wait --timeout": (("wait", "waits", "--timeout", "0.2"), ("--timeout", "0.1")),
    "result --timeout": (("result", "waits"), ("--timeout", "0.1")),
    "result --output": (("result", "done"), ("-o", "id")),
    "result --address": (("result", "done"), NO_SERVER),
    "get --output": (("get", "done"), ("-o", "id")),
    "get --address": (("get", "done"), NO_SERVER),
    "events --output": (("events", "done"), ("-o", "id")),
    "events --address": (("events", "done"), NO_SERVER),
    "list --state": (("list", "-o", "id", *KEPT), ("--state", "failed")),
    "list --oldest-first": (("list", "-o", "id", *KEPT), ("--oldest-first",)),
    **{
        f"list {option}": (("list", "-o", "id", *KEPT), (option, *value))
        for option, value in FILTERS.items()
    },
    "list --limit": (("list", "-o", "id"), ("--limit", "1")),
    "list --page-token": (("list", "-o", "id"), ("--page-token", "bm90aGluZw")),
    "list --output": (("list",), ("-o", "id")),
    "list --address": (("list",), NO_SERVER),
    "cancel --reason": (("cancel", "unwanted"), ("--reason", "x" * 501)),
    "cancel --output": (("cancel", "done"), ("-o", "id")),
    "cancel --address": (("cancel", "done"), NO_SERVER),
    **{
        f"{command} {option}": ((command, *KEPT, "--dry-run"), (option, *value))
        for command in CHANGES
        for option, value in (FILTERS | {"--state": (NONE_TO[command],)}).items()
    },
    **{
        f"{command} {option}": ((command, *KEPT, "--dry-run"), added)
        for command in ("retry", "delete")
        for option, added in (("--output", ("-o", "json")), ("--address", NO_SERVER))
    },
    **{
        f"{command} {option}": (nobody_agrees, (option,))
        for command in CHANGES
        for nobody_agrees in [(command, "--label", "kept=no")]
        for option in ("--dry-run", "--yes")
    },
    **{f"{command} --all": ((command, "--dry-run"), ("--all",)) for command in CHANGES},
    "types --output": (("types",), ("-o", "id")),
    "types --address": (("types",), NO_SERVER),
    "stubs --address": (("stubs",), NO_SERVER),
    **{
        f"{name} {option}": (command, added)
        for name, command in (
            ("queues", ("queues",)),
            ("queues ls", ("queues", "ls")),
            ("queues pause", ("queues", "pause", "unused")),
            ("queues resume", ("queues", "resume", "unused")),
        )
        for option, added in (("--output", ("-o", "id")), ("--address", NO_SERVER))
    },
    "stats --queue": (("stats", "--queue", "nobody", "-o", "json"), ("--queue", "default")),
    "stats --window": (("stats", "--queue", "nobody"), ("--window", "48h")),
    "stats --output": (("stats", "--queue", "nobody"), ("-o", "json")),
    "stats --address": (("stats", "--queue", "nobody"), NO_SERVER),
    "workers --output": (("workers", "-o", "jsonl"), ("-o", "id")),
    "workers --address": (("workers", "-o", "id"), NO_SERVER),
    "version --server": (("version",), ("--server",)),
    "version --output": (("version",), ("-o", "json")),
    "version --address": (("version",), NO_SERVER),
}
# What has a test of its own: waits for the end of a task, commands that change nothing, and
# those whose answers are another one each time.
ELSEWHERE = {
    "result --wait",
    "run --timeout",
    "enqueue --validate-only",
    *("top --once", "top --interval", "top --address", "doctor --output", "doctor --address"),
}


def test_f3_3_every_option_of_the_client_is_set_here() -> None:
    assert CLIENT.keys() | ELSEWHERE == options_of(client.app)


@pytest.mark.parametrize("option", CLIENT)
def test_f3_3_an_option_that_is_set_makes_a_difference(server: None, option: str) -> None:
    command, added = CLIENT[option]

    def seen(*args: str) -> Any:
        ran = taskline(*args)
        if args[0] in ("enqueue", "run") and "--output" not in option and ran.exit_code == 0:
            return the_task(args)
        printed = ran.stdout if args[0] == "run" else ran.output
        return ran.exit_code, _TIME.sub("TIME", _RANDOM_ID.sub("ID", printed))

    first, second = seen(*command), seen(*command)
    with_it = seen(*command, *added)

    assert first == second
    assert with_it != first


def the_task(args: Command) -> Any:
    """What was enqueued last, without what is never the same twice."""
    if "--task-id" in args or "--request-id" in args:
        return args[-1] in taskline("list", "-o", "id").stdout
    (row,) = json.loads(taskline("list", "--limit", "1", "-o", "json").stdout)["tasks"]
    task = json.loads(taskline("get", row["id"], "-o", "json").stdout)["task"]
    kept = (
        *("taskType", "queue", "priority", "labels", "input"),
        *("queueTimeout", "executionTimeout", "maxAttempts", "retryPolicy"),
    )
    return {name: task.get(name) for name in kept} | {
        "delayed": task["scheduleTime"] != task["createTime"]
    }


# The service's commands, up to what they are told


SERVE, WORKER = ("serve", "--tasks", "m:t"), ("worker", "--tasks", "m:t")
BEYOND = ("serve", "--listen", "0.0.0.0:1")

SERVICE: dict[str, tuple[Command, Command]] = {
    "serve --tasks": (("serve",), ("--tasks", "m:t")),
    "serve --listen": (SERVE, ("--listen", "127.0.0.1:1")),
    "serve --insecure": (BEYOND, ("--insecure",)),
    "serve --reflection": (SERVE, ("--no-reflection",)),
    "serve --workers": (SERVE, ("--workers", "3")),
    **{
        f"{command[0]} {option}": (command, (option, value))
        for command in (SERVE, WORKER)
        for option, value in (
            ("--redis-url", "redis://elsewhere"),
            ("--data-dir", "/d"),
            ("--namespace", "blue"),
            ("--partitions", "3"),
            ("--concurrency", "3"),
            ("--lease", "4"),
            ("--grace", "5"),
            ("--max-queued", "6"),
            ("--max-input-size", "600"),
            ("--max-result-size", "700"),
            ("--result-ttl", "8"),
            ("--record-ttl", "999999"),
            ("--max-lost", "5"),
            ("--log-level", "debug"),
            ("--log-format", "json"),
            ("--metrics-listen", "127.0.0.1:1"),
        )
    },
    "serve --max-wait": (SERVE, ("--max-wait", "7")),
    "worker --tasks": (("worker",), ("--tasks", "m:t")),
    "worker --queues": (WORKER, ("--queues", "a,b")),
    "worker --strict-order": ((*WORKER, "--queues", "a,b"), ("--strict-order",)),
    "fsck --redis-url": (("fsck",), ("--redis-url", "redis://elsewhere")),
    "fsck --data-dir": (("fsck",), ("--data-dir", "/d")),
    "fsck --namespace": (("fsck",), ("--namespace", "blue")),
    "fsck --partitions": (("fsck",), ("--partitions", "3")),
    "fsck --max-lost": (("fsck",), ("--max-lost", "5")),
    "fsck --snapshot": (("fsck",), ("--snapshot", str(ROOT))),
    "fsck --repair": (("fsck",), ("--repair",)),
    "fsck --yes": (("fsck", "--repair"), ("--yes",)),
    "fsck --output": (("fsck",), ("--output", "json")),
}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The commands; instead of working, they print what they were told."""
    for name in [name for name in os.environ if name.startswith("TASKLINE_")]:
        monkeypatch.delenv(name)
    for name in ("serve", "work", "check"):
        module = ModuleType(f"taskline_service.{name}")
        vars(module)["run"] = lambda config: print(config) or 0
        monkeypatch.setitem(sys.modules, module.__name__, module)
    app = typer.Typer()
    commands.register(app)
    return app


def test_f3_3_every_option_of_the_service_is_set_here(service: typer.Typer) -> None:
    assert set(SERVICE) == options_of(service)


@pytest.mark.parametrize("option", SERVICE)
def test_f3_3_an_option_of_the_service_makes_a_difference(
    service: typer.Typer, option: str
) -> None:
    command, added = SERVICE[option]

    without = CliRunner().invoke(service, command)
    with_it = CliRunner().invoke(service, (*command, *added))

    assert with_it.output != without.output
    assert with_it.exit_code == 0


def test_f3_3_whatever_the_service_is_told_it_reads() -> None:
    sources = (ROOT / "service" / "taskline_service").rglob("*.py")
    read = {name for path in sources for name in re.findall(r"config\.(\w+)", path.read_text())}

    for config in (FsckConfig, ServeConfig, WorkerConfig):
        assert {field.name for field in dataclasses.fields(config)} - read == set()
