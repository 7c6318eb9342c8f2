"""Somebody who follows a page to the letter, in a folder that looks like the project's."""

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT, Block

BIN = Path(sys.executable).parent
DEFAULT_ADDRESS = "127.0.0.1:50051"
EXAMPLE_STORE = "redis://redis.example:6379/0"

_READY = re.compile(r"taskline: serving on |: ready")
_ADDRESS = re.compile(r"127\.0\.0\.1:5\d{4}\b")

# For machines without grpcurl: the same with buf, as far as the pages go.
_GRPCURL_BY_BUF = """#!/bin/sh
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


def make_grpcurl(folder: Path) -> None:
    """The stand-in for grpcurl."""
    program = folder / "grpcurl"
    program.write_text(_GRPCURL_BY_BUF)
    program.chmod(0o755)


def make_clone(folder: Path) -> None:
    """Everything that the project's folder has, by links: what is written stays out of it."""
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in (".venv", ".git"):
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").symlink_to(BIN.parent)


def free_address() -> str:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Does what blocks say."""

    folder: Path
    environment: dict[str, str]
    # What stands in the pages -> what it is here.
    addresses: dict[str, str]
    _running: ExitStack

    @classmethod
    @contextmanager
    def at_work(
        cls, folder: Path, environment: dict[str, str], addresses: dict[str, str]
    ) -> Iterator["Reader"]:
        """What is started ends with the block, and has to end well."""
        with ExitStack() as running:
            yield cls(folder=folder, environment=environment, addresses=addresses, _running=running)

    def follow(self, block: Block, printed: str) -> str:
        """Do what one block says; returns what it printed.

        Args:
            block: One of those that are to be done something with.
            printed: By the block before.
        """
        text = self._as_here(block.text)
        if "file" in block.marks:
            (self.folder / block.marks["file"]).write_text(text)
        elif "printed" in block.marks:
            pattern = ".*?".join(re.escape(part) for part in text.strip().split("…"))
            assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"{block.place}:\n{printed}"
        elif "background" in block.marks:
            self._start(block.place, text)
        elif "test" in block.marks:
            return self._run(block, text)
        return printed

    def _as_here(self, text: str) -> str:
        """Addresses that pages name are taken by others: each stands for a free one."""
        for address in _ADDRESS.findall(text):
            if address not in self.addresses:
                self.addresses[address] = free_address()
        for there, here in self.addresses.items():
            text = text.replace(there, here)
        return text

    def _run(self, block: Block, text: str) -> str:
        interpreter = {
            "sh": ("sh", "-eu"),
            "python": (str(BIN / "python"), "-W", "error", "-"),
        }[block.language]
        ran = subprocess.run(
            interpreter,
            input=text,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        expected = int(block.marks.get("exit", "0"))
        assert ran.returncode == expected, f"{block.place}\n{text}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def _start(self, place: str, text: str) -> None:
        started = subprocess.Popen(
            ("sh", "-euc", f"exec {text}"),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert started.stdout
        self._running.callback(_end, started, place)
        lines: list[str] = []
        for line in started.stdout:
            lines.append(line)
            if _READY.search(line):
                break
        else:
            raise AssertionError(f"{place} ended before it was ready:\n{''.join(lines)}")
        # So that it is never held up by a full pipe.
        reading = threading.Thread(target=started.stdout.read)
        reading.start()
        self._running.callback(reading.join)
        self._running.callback(started.terminate)


def _end(started: subprocess.Popen[str], place: str) -> None:
    """Asked to end, it has to end well."""
    assert started.stdout
    started.wait()
    started.stdout.close()
    assert started.returncode == 0, f"{place} ended with {started.returncode}"
