"""What the README says beyond its blocks of code is true."""

import re
import subprocess
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from examples import demo
from taskline.v1 import admin_service_pb2, task_service_pb2
from taskline_service.task import EDGES, TaskState
from tests.docs.pages import PAGES, README, ROOT, Block, blocks, section
from tests.docs.reader import Reader
from tests.docs.test_pages import MAKE_RUN
from tests.stack import Stack

TEXT = README.read_text("utf-8")


def test_what_the_demo_says_to_try_next_runs(reader: Reader) -> None:
    reader.follow(MAKE_RUN, "")

    printed = reader.follow(Block("demo.NEXT", "sh", {"test": ""}, "\n".join(demo.NEXT)), "")

    assert '"words"' in printed


def test_the_state_diagram_is_the_table_of_moves() -> None:
    drawings = [b.text for page in PAGES for b in blocks(page) if b.language == "mermaid"]
    (diagram,) = (text for text in drawings if text.startswith("stateDiagram"))
    drawn = set(re.findall(r"^ +(\S+) --> ([^\s:]+)", diagram, re.MULTILINE))

    moves = {(str(state), str(to)) for state, targets in EDGES.items() for to in targets}
    ends = {(str(state), "[*]") for state in TaskState if state.terminal}
    begins = {("[*]", "SCHEDULED"), ("[*]", "QUEUED")}
    assert drawn == moves | ends | begins


def test_its_map_shows_every_folder() -> None:
    links = re.findall(r"\]\(([^)]+)\)", section(README, "Where things are"))

    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    folders = {name.split("/")[0] for name in tracked if "/" in name and name[0] != "."}
    assert folders <= {link.split("/")[0] for link in links}


def test_make_makes_all_that_it_says() -> None:
    said = set(
        re.findall(r"\bmake (\w+)", " ".join(re.findall(r"`make \w+`|^make \w+", TEXT, re.M)))
    )

    makefile = (ROOT / "Makefile").read_text()
    assert {"demo", "test", "run"} <= said
    assert said <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))


async def test_the_service_answers_every_call_of_the_contract(stack: Stack) -> None:
    services = (
        *task_service_pb2.DESCRIPTOR.services_by_name.values(),
        *admin_service_pb2.DESCRIPTOR.services_by_name.values(),
    )
    methods: list[MethodDescriptor] = [method for s in services for method in s.methods]

    async with grpc.aio.insecure_channel(stack.address) as channel:
        missing = {
            m.name for m in methods if await code(channel, m) is grpc.StatusCode.UNIMPLEMENTED
        }

    assert missing == set()


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
