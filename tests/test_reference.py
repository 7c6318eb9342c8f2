"""docs/reference.md has the whole contract, with its comments."""

import re
import subprocess
import sys

from taskline.v1 import admin_service_pb2, task_pb2, task_service_pb2
from tools import reference

_FILES = (task_service_pb2, task_pb2, admin_service_pb2)


def page() -> str:
    return reference.PAGE.read_text("utf-8")


def test_the_page_is_what_the_contract_says() -> None:
    checked = subprocess.run(
        (sys.executable, "-m", "tools.reference", "--check"),
        cwd=reference.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_call_and_every_field_is_there_with_a_comment() -> None:
    calls = {
        f"{service.name}.{method.name}"
        for file in _FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    fields = [
        field.name
        for file in _FILES
        for message in file.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
    ]

    assert set(re.findall(r"^### (.+)$", page(), re.MULTILINE)) == calls
    commented = re.findall(r"^- \*\*(\w+)\*\* .+\\\n  \S", page(), re.MULTILINE)
    assert [name for name in fields if name not in commented] == []


def test_every_link_leads_to_a_heading() -> None:
    headings = re.findall(r"^##+ (.+)$", page(), re.MULTILINE)
    anchors = {heading.lower().replace(".", "") for heading in headings}

    assert set(re.findall(r"\(#([a-z]+)\)", page())) <= anchors
