"""The command line as a person has it: processes, their output, their exit code."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TASKLINE = Path(sys.executable).with_name("taskline")
_READY = "taskline: serving on "


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


async def taskline(address: str, *arguments: str) -> Ran:
    """Run a client command to its end."""
    process = await asyncio.create_subprocess_exec(
        TASKLINE,
        *arguments,
        "--address",
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


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
