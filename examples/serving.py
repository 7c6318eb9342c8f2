"""Starts `taskline serve` as anyone would, and ends it in order."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

_READY = "taskline: serving on "
_LONGEST_START_S = 30
_LONGEST_END_S = 20

# The command that was installed beside this Python.
_TASKLINE = Path(sys.executable).with_name("taskline")


class ServiceFailed(Exception):
    """The service did not start, or did not end in order."""


@asynccontextmanager
async def taskline_serve(
    folder: Path, *, workers: int, environment: Mapping[str, str]
) -> AsyncIterator[str]:
    """Serve the example tasks on a free port until the block ends; gives HOST:PORT.

    Args:
        folder: Gets the data of the embedded store, and the log: service.log.
        workers: How many worker processes.
        environment: What to set beside what this process has.
    """
    command = [str(_TASKLINE), "serve", "--tasks", "examples.tasks:tasks"]
    command += ["--listen", "127.0.0.1:0", "--data-dir", str(folder / "data")]
    command += ["--workers", str(workers)]
    with (folder / "service.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**_own_environment(), **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        yield await _address(process)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            code = await asyncio.wait_for(process.wait(), _LONGEST_END_S)
        except TimeoutError:
            process.kill()
            raise ServiceFailed("taskline serve does not end") from None
    if code:
        raise ServiceFailed(f"taskline serve ended with exit code {code}")


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where it serves: the one line on its standard output says so."""
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), _LONGEST_START_S)).decode()
    if not line.startswith(_READY):
        raise ServiceFailed("taskline serve ended before it was ready")
    return line.removeprefix(_READY).strip()


def _own_environment() -> dict[str, str]:
    """This process's, but for settings that are meant for another Taskline."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TASKLINE_", "OTEL_"))}
