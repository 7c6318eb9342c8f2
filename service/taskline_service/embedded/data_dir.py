"""The data directory of an embedded store: who has it, and where its server listens.

serve.lock     locked by the `taskline serve` that has the directory
store.lock     locked by its server too, so that two servers never write the same files
store.socket   path of the server's socket; says nothing about whether it runs
store.log      what the server says
store.pid      the server's process
appendonlydir  the data
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from taskline_service.embedded.errors import DataDirInUse, DataDirUnusable, StoreNotRunning
from taskline_service.embedded.ping import Readiness, ping
from taskline_service.embedded.socket_path import make_socket_path, socket_url

_POLL_S = 0.05


def default_data_dir() -> Path:
    """TASKLINE_DATA_DIR, else taskline/ in the user's state directory, else ./.taskline.

    The state directory is XDG_STATE_HOME or ~/.local/state; the last resort is for users
    without a home.
    """
    if named := os.environ.get("TASKLINE_DATA_DIR"):
        return Path(named)
    for variable, below in (("XDG_STATE_HOME", "taskline"), ("HOME", ".local/state/taskline")):
        folder = Path(os.environ.get(variable, ""))
        if folder.is_absolute():
            return folder / below
    return Path(".taskline").absolute()


def has_data(data_dir: Path) -> bool:
    """Whether a store has ever kept anything in this directory."""
    return (data_dir / "appendonlydir").exists() or (data_dir / "appendonly.aof").exists()


async def join(data_dir: Path, *, loading_limit: timedelta = timedelta(minutes=1)) -> str:
    """URL of the store that a `taskline serve` runs on this data directory.

    Waits while that store still reads its data, at most `loading_limit`.

    Raises:
        StoreNotRunning: Nobody serves this data directory.
    """
    try:
        socket = Path((data_dir / "store.socket").read_text())
    except OSError as error:
        raise StoreNotRunning(_not_running(data_dir)) from error
    with suppress(TimeoutError):
        async with asyncio.timeout(loading_limit.total_seconds()):
            # Another process has no event that could be awaited.
            while (readiness := await ping(socket)) is Readiness.LOADING:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
            if readiness is Readiness.READY:
                return socket_url(socket)
    raise StoreNotRunning(_not_running(data_dir))


def _not_running(data_dir: Path) -> str:
    return (
        f"no embedded store runs on {data_dir}: start `taskline serve --data-dir {data_dir}` "
        "first, or name a store with --redis-url"
    )


class DataDir:
    """A data directory that this process has, and no other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "store.log"
        self.pid_file = path / "store.pid"

    @classmethod
    @contextmanager
    def taken(cls, path: Path) -> Iterator["DataDir"]:
        """Have the directory until the block ends; makes it if need be.

        Raises:
            DataDirInUse: Another process has it.
            DataDirUnusable: It cannot be made or written.
        """
        path = path.absolute()
        with _opened(path, "serve.lock") as lock:
            if not _lock(lock):
                owner = os.pread(lock, 32, 0).decode() or "unknown"
                raise DataDirInUse(f"{path} is served already, by process {owner}")
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            yield cls(path)

    @contextmanager
    def store_lock(self) -> Iterator[int]:
        """The open file for `lock_store`, to be handed to the server."""
        with _opened(self.path, "store.lock") as lock:
            yield lock

    async def lock_store(self, lock: int, *, within: timedelta) -> None:
        """Wait until no server of an earlier run writes here.

        Such a server ends by itself, soon after its parent was killed.
        """
        try:
            async with asyncio.timeout(within.total_seconds()):
                # Awaiting a lock would need a thread that cannot be cancelled.
                while not _lock(lock):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise DataDirInUse(
                f"a server of an earlier run still writes to {self.path}; "
                f"its process is in {self.pid_file}"
            ) from error

    def socket(self) -> Path:
        """Where the server is to listen: the same path as last time, if that can be had.

        Then workers beside this process find the server again after a restart.
        """
        published = self.path / "store.socket"
        previous = Path(published.read_text()) if published.exists() else None
        socket = make_socket_path(previous)
        fresh = published.with_suffix(".new")
        fresh.write_text(str(socket))
        fresh.replace(published)
        return socket


@contextmanager
def _opened(data_dir: Path, name: str) -> Iterator[int]:
    """The file, made if need be, open for as long as the block."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirUnusable(f"data directory {data_dir}: {error.strerror}") from error
    try:
        yield file
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    """Try to lock the open file; its lock lasts until every copy of `file` is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
