"""The command line as a person has it: processes, their output, their exit code."""

import asyncio
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[2]
TASKLINE = Path(sys.executable).with_name("taskline")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
# Becomes a program that the terminal controls: the keys that are signals reach it.
_CONTROLLED = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_READY = "taskline: serving on "


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


async def taskline(address: str, *arguments: str, **environment: str) -> Ran:
    """Run a client command to its end."""
    process = await asyncio.create_subprocess_exec(
        TASKLINE,
        *arguments,
        "--address",
        address,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def _without_a_size() -> dict[str, str]:
    """Our own environment; what it says of a terminal's size is not that of the command's."""
    return {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}


class Terminal:
    """A command on a terminal of its own, 24 lines of 80 characters."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, terminal: int
    ) -> None:
        self._process = process
        self._reader = reader
        self._terminal = terminal
        # All that was written, escape sequences included.
        self.written = ""

    @classmethod
    @asynccontextmanager
    async def running(
        cls, address: str, *arguments: str, columns: int = 80, **environment: str
    ) -> AsyncIterator[Self]:
        """From its start to its end; killed if the block ends before."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _CONTROLLED, TASKLINE),
            *arguments,
            *("--address", address),
            env={**_without_a_size(), "TERM": "xterm-256color", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        reader = asyncio.StreamReader()
        with os.fdopen(ours, "r+b", buffering=0) as terminal:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: _Tolerant(reader), terminal
            )
            # The transport closes its own at the end.
            kept = os.dup(ours)
            try:
                yield cls(process, reader, kept)
            finally:
                transport.close()
                os.close(kept)
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    def type(self, keys: str) -> None:
        """As a person does."""
        os.write(self._terminal, keys.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def until(self, text: str) -> None:
        """Read on until it is there."""
        async with asyncio.timeout(30):
            while text not in self.text:
                data = await self._reader.read(65536)
                assert data, f"it ended without {text!r}: {self.text}"
                self.written += data.decode()

    async def end(self) -> int:
        """Read to the end; the exit code."""
        async with asyncio.timeout(30):
            self.written += (await self._reader.read()).decode()
            return await self._process.wait()

    @property
    def echoes(self) -> bool:
        """Whether it shows what is typed."""
        *_, local_modes, _, _, _ = termios.tcgetattr(self._terminal)
        return bool(local_modes & termios.ECHO)

    @property
    def text(self) -> str:
        """What was written, without what steers the terminal."""
        return _ESCAPES.sub("", self.written).replace("\r\n", "\n")


class _Tolerant(asyncio.StreamReaderProtocol):
    """On Linux, reading a terminal that nobody writes to any more is an error; here its end."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(None if isinstance(exc, OSError) else exc)


@asynccontextmanager
async def serving(data_dir: Path, *options: str) -> AsyncIterator[str]:
    """`taskline serve` with the example tasks, until the block ends; gives its address."""
    process = await asyncio.create_subprocess_exec(
        TASKLINE,
        *("serve", "--tasks", "examples.tasks:tasks", "--listen", "127.0.0.1:0"),
        *("--data-dir", str(data_dir), "--log-level", "error"),
        *options,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "TASKLINE_REDIS_URL"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            ready = (await process.stdout.readline()).decode()
        assert ready.startswith(_READY), ready
        yield ready.removeprefix(_READY).strip()
    finally:
        process.terminate()
        await process.communicate()
