"""Runs the same small program with each system, and prints the tables of docs/comparison.md.

    python -m examples.comparison.compare FOLDER

FOLDER gets an environment for each of the others, with the versions that are pinned here. The
store is the one that Taskline brings along.
"""

import ast
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from taskline_service.embedded.binary import find_server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MISTAKES = ("another type of argument", "an argument that there is not", "another type of result")

_PARTS = ("tasks.py", "program.py")
_LONGEST_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One system, and what its program needs."""

    name: str
    packages: tuple[str, ...]
    # The command that executes the tasks.
    worker: str
    # It says this when it is ready.
    ready: str

    @property
    def folder(self) -> Path:
        """Where its program is."""
        return HERE / f"with_{self.name}"

    @property
    def versions(self) -> str:
        """Of what was compared."""
        return ", ".join(self.packages).replace("==", " ") or version("taskline")


OTHERS = (
    Contender(
        name="docket",
        packages=("pydocket==0.27.0",),
        worker="docket worker --docket numbers --url $REDIS_URL --tasks tasks:tasks",
        ready="Starting worker",
    ),
    Contender(
        name="arq",
        packages=("arq==0.28.0",),
        worker="arq tasks.WorkerSettings",
        ready="Starting worker",
    ),
    Contender(
        name="celery",
        packages=("celery[redis]==5.7.0", "celery-types==0.26.0"),
        worker="celery -A tasks worker --loglevel info --concurrency 4",
        ready="ready.",
    ),
)
TASKLINE = Contender(
    name="taskline",
    packages=(),
    worker="taskline serve --tasks tasks:tasks --redis-url $REDIS_URL --listen 127.0.0.1:0",
    ready="serving on ",
)
CONTENDERS = (TASKLINE, *OTHERS)


def lines_of(contender: Contender) -> list[str]:
    """How many lines of code its tasks have, and its program."""
    return [str(_lines((contender.folder / name).read_text("utf-8"))) for name in _PARTS]


def _lines(source: str) -> int:
    """Neither blank, nor a comment or a docstring alone."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in docstrings
        for number, line in enumerate(source.splitlines(), 1)
    )


def complaints(contender: Contender, mypy: Path, cache: Path) -> dict[str, list[str]]:
    """What `mypy --strict` says of the program and of the mistakes, by file."""
    ran = subprocess.run(
        (mypy, "--strict", "--cache-dir", cache, "--no-error-summary", "program.py", "mistakes.py"),
        cwd=contender.folder,
        env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, _sources(contender)))},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, list[str]] = {"tasks.py": [], "program.py": [], "mistakes.py": []}
    for name, line in re.findall(r"^(\w+\.py):(\d+): error", ran.stdout, re.MULTILINE):
        found[name].append((contender.folder / name).read_text().splitlines()[int(line) - 1])
    return found


def _sources(contender: Contender) -> Iterator[Path]:
    yield contender.folder
    if contender is TASKLINE:
        yield from (ROOT / part for part in ("protos", "client", "service"))


def run(contender: Contender, programs: Path, redis_url: str) -> str:
    """What the program prints, with a worker of its own."""
    environment = {**os.environ, "REDIS_URL": redis_url, "PYTHONPATH": str(contender.folder)}
    program, *arguments = contender.worker.replace("$REDIS_URL", redis_url).split()
    worker = (str(programs / program), *arguments)
    with _started(worker, contender.ready, contender.folder, environment) as ready:
        if contender is TASKLINE:
            environment["TASKLINE_ADDRESS"] = ready.rpartition(" ")[2]
        ran = subprocess.run(
            (programs / "python", "program.py"),
            cwd=contender.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=True,
        )
    return ran.stdout


@contextmanager
def store(folder: Path) -> Iterator[str]:
    """An empty store of its own; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = (str(find_server()), "--port", port, "--save", "", "--dir", str(folder))
    with _started(command, "Ready to accept connections", folder, os.environ):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _started(
    command: Sequence[str], ready: str, folder: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """A process until the block ends, from the line on with which it says that it is ready."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        printed: list[str] = []
        for line in process.stdout:
            printed.append(line)
            if ready in line:
                break
        else:
            raise RuntimeError(f"{command[0]} ended before it was ready:\n{''.join(printed)}")
        # So that it is never held up by a full pipe.
        reading = threading.Thread(target=process.stdout.read)
        reading.start()
        try:
            yield line.rstrip()
        finally:
            process.terminate()
            reading.join()


def install(contender: Contender, folder: Path) -> Path:
    """An environment of its own; returns where its programs are."""
    environment = folder / contender.name
    subprocess.run((sys.executable, "-m", "venv", environment), check=True)
    packages = (*contender.packages, "mypy")
    subprocess.run(
        (environment / "bin" / "python", "-m", "pip", "install", "--quiet", *packages), check=True
    )
    return environment / "bin"


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for contender in CONTENDERS:
        programs = install(contender, folder) if contender.packages else Path(sys.executable).parent
        with store(folder) as redis_url:
            (folder / f"{contender.name}.out").write_text(run(contender, programs, redis_url))
        found = complaints(contender, programs / "mypy", folder / f"mypy-{contender.name}")
        mistakes = f"{len(found['mistakes.py'])} of {len(MISTAKES)}"
        row = [contender.name, contender.versions, *lines_of(contender), mistakes]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
