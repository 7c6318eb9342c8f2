import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

# Runs an embedded store on the directory argv[1] until it is killed.
_SERVE = """
import asyncio, pathlib, sys
from taskline_service.embedded import EmbeddedStore

async def main():
    async with EmbeddedStore.start(pathlib.Path(sys.argv[1])) as store:
        print(store.url, flush=True)
        await store.watch()

asyncio.run(main())
"""

Serve = Callable[[Path], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture(autouse=True)
def runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Takes the sockets, and with it go those that killed processes leave; has a short path."""
    with tempfile.TemporaryDirectory(prefix="taskline-test-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts other processes that have an embedded store, which runs when this returns."""
    processes = []

    async def start(data_dir: Path) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SERVE, str(data_dir), stdout=asyncio.subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout
        assert await process.stdout.readline()
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def gone(pid: int) -> None:
    """Returns when the process has ended, reaped or not."""
    async with asyncio.timeout(10):
        while _alive(pid):  # noqa: ASYNC110 - not our child, so there is no event
            await asyncio.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
