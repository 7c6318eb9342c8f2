"""What the README and the pages of docs/ say is true, and their commands run as they stand.

A block whose fence says `test` is run against a real `taskline serve`, with its own address in
place of the default one, and this Python's commands in place of those in .venv.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import typer
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from examples import demo
from taskline.v1 import admin_service_pb2, task_service_pb2
from taskline.v1.task_pb2 import TaskError
from taskline_client.cli import app
from taskline_service import commands, errors
from taskline_service.rpc.status import code_of
from taskline_service.task import EDGES, TaskState
from tests.stack import Stack

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BIN = Path(sys.executable).parent
DEFAULT_ADDRESS = "127.0.0.1:50051"

# For machines without grpcurl: the same with buf, as far as the README goes.
GRPCURL_BY_BUF = """#!/bin/sh
set -eu
data='{}'
while [ "${1#-}" != "$1" ]; do
    case $1 in
    -d) data=$2 && shift 2 ;;
    *) shift ;;
    esac
done
curl() { buf curl --protocol grpc --http2-prior-knowledge "$@"; }
case $2 in
list) curl --list-services "http://$1" ;;
describe) curl --list-methods "http://$1" | grep -Fx "${3%.*}/${3##*.}" ;;
*) curl -d "$data" "http://$1/$2" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Block:
    heading: str
    language: str
    marks: Mapping[str, str]
    text: str


def blocks(page: Path) -> list[Block]:
    found, heading, text = [], "", page.read_text("utf-8")
    for match in re.finditer(r"^#+ (.+)$|^```(\w+)(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE):
        if match[1]:
            heading = match[1]
            continue
        marks = {name: value for name, _, value in (m.partition("=") for m in match[3].split())}
        found.append(Block(heading, match[2], marks, match[4]))
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]


def section(heading: str) -> str:
    text = README.split(f"\n## {heading}\n")[1]
    return re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[list[str]]:
    rows = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in row] for row in rows][2:]


@dataclass(frozen=True, slots=True)
class Service:
    address: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith(("TASKLINE_", "OTEL_"))}
        return {
            **own,
            "PATH": os.pathsep.join([str(self.folder), str(BIN), os.environ["PATH"]]),
            "TASKLINE_ADDRESS": self.address,
            "TASKLINE_DATA_DIR": str(self.folder / "data"),
        }

    def run(self, language: str, text: str) -> str:
        """Run a block; returns what it printed."""
        text = text.replace(DEFAULT_ADDRESS, self.address)
        text = text.replace(".venv/bin/", f"{shlex.quote(str(BIN))}/")
        interpreter = {"sh": ["sh", "-eu"], "python": [sys.executable, "-"]}[language]
        ran = subprocess.run(
            interpreter,
            input=text,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{text}\n{ran.stdout}{ran.stderr}"
        return ran.stdout


@contextmanager
def process(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is asked to end when the block ends, and has to end well."""
    with subprocess.Popen(command, cwd=ROOT, text=True, **options) as started:
        try:
            yield started
        finally:
            started.terminate()
    assert started.returncode == 0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """What `make run` starts, on a port and with data of its own."""
    folder = tmp_path_factory.mktemp("readme")
    if not shutil.which("grpcurl"):
        (folder / "grpcurl").write_text(GRPCURL_BY_BUF)
        (folder / "grpcurl").chmod(0o755)
    environment = Service("", folder).environment
    serve = (str(BIN / "taskline"), "serve", "--tasks", "examples.tasks:tasks")
    with (
        (folder / "log").open("w") as log,
        process(
            *(*serve, "--listen", "127.0.0.1:0"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as started,
    ):
        assert started.stdout
        ready = started.stdout.readline().strip()
        assert ready.startswith("taskline: serving on "), (folder / "log").read_text()
        yield Service(ready.removeprefix("taskline: serving on "), folder)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{block.heading}: {block.text.splitlines()[0][:40]}")
        for block in BLOCKS
        if "test" in block.marks and not {"file", "after"} & set(block.marks)
    ],
)
def test_the_commands_run_as_they_stand(block: Block, service: Service) -> None:
    printed = service.run(block.language, block.text)

    assert printed


def test_the_tasks_that_it_shows_can_be_run(service: Service, tmp_path: Path) -> None:
    (code,) = (block for block in BLOCKS if "file" in block.marks)
    (use,) = (block for block in BLOCKS if "after" in block.marks)
    (tmp_path / code.marks["file"]).write_text(code.text)
    (worker,) = re.findall(r"^\.venv/bin/(taskline worker .+?)(?: +#.*)?$", README, re.MULTILINE)[
        :1
    ]
    environment = {**service.environment, "PYTHONPATH": str(tmp_path)}

    with process(*shlex.split(worker), env=environment, stderr=subprocess.PIPE) as started:
        assert started.stderr
        assert any(": ready" in line for line in iter(started.stderr.readline, ""))
        printed = service.run(use.language, use.text)

    assert "text.longest_line" in printed
    lines = [line for name in ("README.md", "Makefile") for line in text_of(name).splitlines()]
    assert json.loads(printed.splitlines()[-1]) == max(lines, key=len)


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_what_the_demo_says_to_try_next_runs(service: Service) -> None:
    printed = service.run("sh", "\n".join(demo.NEXT))

    assert '"words"' in printed


def test_its_state_diagram_is_the_table_of_moves() -> None:
    (diagram,) = (block.text for block in BLOCKS if block.language == "mermaid")
    drawn = set(re.findall(r"^ +(\S+) --> ([^\s:]+)", diagram, re.MULTILINE))

    moves = {(str(state), str(to)) for state, targets in EDGES.items() for to in targets}
    ends = {(str(state), "[*]") for state in TaskState if state.terminal}
    begins = {("[*]", "SCHEDULED"), ("[*]", "QUEUED")}
    assert drawn == moves | ends | begins


def test_its_table_of_errors_has_every_reason_with_its_code() -> None:
    def kinds(of: type[errors.TasklineError]) -> Iterator[type[errors.TasklineError]]:
        for kind in of.__subclasses__():
            if kind.__module__ == errors.__name__:
                yield kind
                yield from kinds(kind)

    told = {reason: code for reason, code, _ in first_cells(section("Errors"))}

    real = {kind.reason: code_of(kind.__new__(kind)).name for kind in kinds(errors.TasklineError)}
    assert told == real | {"INTERNAL": "INTERNAL"}


def test_fs2_its_table_of_variables_has_every_one_with_its_commands() -> None:
    told = {row[0]: row[1] for row in first_cells(section("Options"))}

    offered: dict[str, list[str]] = {}
    service_app = typer.Typer()
    commands.register(service_app)
    for group in (app.app, service_app):
        for name, command in vars(typer.main.get_command(group))["commands"].items():
            for option in command.params:
                if option.envvar:
                    offered.setdefault(option.envvar, []).append(name)
    of_clients = offered.pop("TASKLINE_ADDRESS")
    assert "serve" not in of_clients
    assert told == {"TASKLINE_ADDRESS": "client commands"} | {
        variable: ", ".join(names) for variable, names in offered.items()
    }


def test_fs2_the_page_about_results_tells_of_every_way_to_end_and_every_limit() -> None:
    page = (ROOT / "docs" / "results.md").read_text("utf-8")

    assert set(TaskError.DESCRIPTOR.fields_by_name) <= set(re.findall(r"`(\w+)`", page))
    kinds = {
        name.removeprefix("TYPE_").lower() for name, number in TaskError.Type.items() if number
    }
    (told,) = re.findall(r"`error_type` \| ([\w, ]+) \|", page)
    assert set(told.split(", ")) == kinds
    for option in ("--max-input-size", "--max-result-size", "--result-ttl", "--record-ttl"):
        assert option in page
    assert {"RESULT_EXPIRED", "TASK_NOT_FOUND"} <= set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", page))


async def test_it_names_every_rpc_that_is_not_there_yet(stack: Stack) -> None:
    services = (
        *task_service_pb2.DESCRIPTOR.services_by_name.values(),
        *admin_service_pb2.DESCRIPTOR.services_by_name.values(),
    )
    methods: list[MethodDescriptor] = [method for s in services for method in s.methods]

    async with grpc.aio.insecure_channel(stack.address) as channel:
        missing = {
            m.name for m in methods if await code(channel, m) is grpc.StatusCode.UNIMPLEMENTED
        }

    told = set(re.findall(r"`([A-Z]\w+)`", section("What this version does not do yet")))
    assert told == missing


async def code(channel: grpc.aio.Channel, method: MethodDescriptor) -> grpc.StatusCode:
    path = f"/{method.containing_service.full_name}/{method.name}"
    empty = GetMessageClass(method.input_type)
    call: Any = channel.unary_stream(path, request_serializer=empty.SerializeToString)(empty())
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)]+)\)", prose)

    assert [link for link in links if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    """Whether there is such a file and, where the link names one, such a heading in it."""
    name, _, heading = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not heading or heading in anchors(target))


@cache
def anchors(page: Path) -> set[str]:
    """What links call the headings of a page, as GitHub does."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_its_map_shows_every_folder() -> None:
    shown = {
        link.split("/")[0] for link in re.findall(r"\]\(([^)]+)\)", section("Where things are"))
    }

    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    folders = {name.split("/")[0] for name in tracked if "/" in name and name[0] != "."}
    assert folders <= shown


def test_make_makes_all_that_it_says() -> None:
    said = set(
        re.findall(r"\bmake (\w+)", " ".join(re.findall(r"`make \w+`|^make \w+", README, re.M)))
    )

    makefile = (ROOT / "Makefile").read_text()
    assert {"demo", "test", "run"} <= said
    assert said <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
