"""What deploy/ starts can be started: its commands, options and variables are Taskline's own.

Where systemd or kubectl is installed, they read the files as well.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from taskline_service import commands
from tests.docs.pages import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
STARTING = [*UNITS, *(DEPLOY / "kubernetes" / f"{part}.yaml" for part in ("server", "worker"))]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


def arguments_in(file: Path) -> list[str]:
    """Of `taskline`, as the file starts it."""
    text = file.read_text("utf-8")
    if file.suffix == ".service":
        (command,) = re.findall(r"^ExecStart=\S+/taskline (.+)$", text, re.MULTILINE)
        return str(command).split()
    (arguments,) = re.findall(r"^ +args: (\[.+\])$", text, re.MULTILINE)
    found: list[str] = json.loads(arguments)
    return found


def commands_of_the_service() -> dict[str, Any]:
    service_app = typer.Typer()
    commands.register(service_app)
    found: dict[str, Any] = vars(typer.main.get_command(service_app))["commands"]
    return found


@pytest.mark.parametrize("file", STARTING, ids=lambda file: file.name)
def test_the_command_is_one_of_taskline(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKLINE_TASKS", "my_tasks:tasks")
    name, *arguments = arguments_in(file)

    context = commands_of_the_service()[name].make_context(name, arguments)

    assert context.params["grace"]


def test_every_variable_is_one_of_the_service() -> None:
    lines = (DEPLOY / "systemd" / "taskline.env").read_text("utf-8").splitlines()

    set_there = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}

    known = commands_of_the_service().values()
    assert set_there <= {option.envvar for command in known for option in command.params}


@pytest.mark.parametrize("file", STARTING, ids=lambda file: file.name)
def test_there_is_time_to_shut_down_in_order(file: Path) -> None:
    text = file.read_text("utf-8")
    (wait,) = re.findall(r"(?:TimeoutStopSec=|terminationGracePeriodSeconds: )(\d+)", text)

    (grace,) = (p.default for p in commands_of_the_service()["serve"].params if p.name == "grace")
    assert int(wait) >= grace + 10


def test_what_the_image_is_made_of_is_there() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE)

    assert [name for names in copied for name in names.split() if not (ROOT / name).exists()] == []
    (extras,) = re.findall(r"\.\[([\w,]+)\]", DOCKERFILE)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert all(f"\n{extra} = [" in project for extra in extras.split(","))
    (program,) = re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(program) == ["taskline"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda file: file.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd here")
    # What it names exists on the machine that it is meant for.
    text = re.sub(r"/opt/taskline/bin/taskline", "/bin/true", unit.read_text("utf-8"))
    copy = tmp_path / unit.name.replace("@", "@1")
    copy.write_text(text.replace("User=taskline", "User=root"))

    checked = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", copy), capture_output=True, text=True, check=False
    )

    # It has something to say of other units of the machine, too.
    ours = [line for line in checked.stderr.splitlines() if "taskline" in line]
    assert (checked.returncode, ours) == (0, [])


def test_kubectl_reads_the_manifests() -> None:
    if not shutil.which("kubectl"):
        pytest.skip("there is no kubectl here")

    built = subprocess.run(
        ("kubectl", "kustomize", DEPLOY / "kubernetes"), capture_output=True, text=True, check=False
    )

    assert built.returncode == 0, built.stderr
    kinds = re.findall(r"^kind: (\w+)$", built.stdout, re.MULTILINE)
    assert sorted(kinds) == ["Deployment", "Deployment", "Service"]
    assert "image: registry.example/taskline:1" in built.stdout
