"""Runs the server: started, awaited, watched, and ended so that it keeps what it has."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Self

from taskline_service.die_with_parent import wrapped
from taskline_service.embedded.binary import find_server
from taskline_service.embedded.data_dir import DataDir
from taskline_service.embedded.errors import ServerEnded
from taskline_service.embedded.ping import Readiness, ping
from taskline_service.embedded.socket_path import remove_socket, socket_url

log = logging.getLogger(__name__)

# A server writes its buffers and syncs its file before it ends; usually milliseconds.
_END_LIMIT = timedelta(seconds=10)
_POLL_S = 0.02
_LOG_TAIL_BYTES = 2000
# A script makes and frees thousands of small strings: the more of them malloc keeps at hand (7 of a
# size by itself), the less it has to look for. A tenth of the time of every script.
_MALLOC = "glibc.malloc.tcache_count=2000"


class EmbeddedStore:
    """A running server of our own; `url` is what a store connects to."""

    def __init__(self, url: str, server: Path, running: "_Server") -> None:
        self.url = url
        self.server = server
        self._running = running

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        data_dir: Path,
        *,
        durable: bool = True,
        ready_within: timedelta = timedelta(seconds=30),
    ) -> AsyncIterator[Self]:
        """Run a server on the data directory until the block ends.

        It answers when the block begins. Call from a thread that lives as long as the
        block (the server ends with it), usually the main thread.

        Args:
            data_dir: Made if need be; keeps the data between runs.
            durable: Whether it does; if not, all is gone with the server.
            ready_within: How long the server may stay silent. Reading its data does not
                count, however long it takes.

        Raises:
            ServerNotFound: There is no server program.
            DataDirInUse: Another process serves the data directory.
            DataDirUnusable: The data directory cannot be made or written.
            ServerEnded: The server did not come up; the message holds the end of its log.
        """
        server = find_server()
        with DataDir.taken(data_dir) as directory, directory.store_lock() as lock:
            await directory.lock_store(lock, within=_END_LIMIT)
            socket = directory.socket()
            running = await _Server.start(server, directory, socket, lock, durable)
            try:
                await running.ready(within=ready_within)
                log.info("embedded store: %s, data in %s", server, directory.path)
                yield cls(socket_url(socket), server, running)
            finally:
                await running.end()
                remove_socket(socket)

    async def watch(self) -> None:
        """Wait until the server ends by itself, which is never good, and raise ServerEnded."""
        raise await self._running.ended()


class _Server:
    """The server's process."""

    def __init__(
        self, process: asyncio.subprocess.Process, socket: Path, log_file: Path, log_start: int
    ) -> None:
        self._process = process
        self._socket = socket
        self._log_file = log_file
        # What was logged before belongs to earlier runs.
        self._log_start = log_start

    @classmethod
    async def start(
        cls, server: Path, directory: DataDir, socket: Path, lock: int, durable: bool
    ) -> Self:
        with directory.log.open("ab") as log_file:
            log_start = log_file.tell()
            process = await asyncio.create_subprocess_exec(
                *wrapped(str(server), *_options(directory, socket, durable)),
                env={"GLIBC_TUNABLES": _MALLOC, **os.environ},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                pass_fds=(lock,),
                # Ctrl-C in a terminal is for the parent alone, which ends this one last.
                start_new_session=True,
            )
            return cls(process, socket, directory.log, log_start)

    async def ready(self, *, within: timedelta) -> None:
        loop = asyncio.get_running_loop()
        limit = loop.time() + within.total_seconds()
        while (readiness := await ping(self._socket)) is not Readiness.READY:
            if self._process.returncode is not None:
                raise await self.ended()
            if readiness is Readiness.LOADING:
                limit = loop.time() + within.total_seconds()
            elif loop.time() > limit:
                raise ServerEnded(f"the embedded store does not answer:\n{self._log_tail()}")
            await asyncio.sleep(_POLL_S)

    async def ended(self) -> ServerEnded:
        code = await self._process.wait()
        return ServerEnded(f"the embedded store ended with {code}:\n{self._log_tail()}")

    async def end(self) -> None:
        """Have it write what it has and end; kill it if that takes too long."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_END_LIMIT.total_seconds()):
                await self._process.wait()
        except TimeoutError:
            log.warning("embedded store: still running %s after SIGTERM, killed", _END_LIMIT)
            self._process.kill()
            await self._process.wait()

    def _log_tail(self) -> str:
        with self._log_file.open("rb") as log_file:
            size = log_file.seek(0, 2)
            log_file.seek(max(self._log_start, size - _LOG_TAIL_BYTES))
            return log_file.read().decode(errors="replace").strip()


def _options(directory: DataDir, socket: Path, durable: bool) -> tuple[str, ...]:
    """If durable, nothing is acknowledged that an end of the process could lose."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory.path),
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": str(directory.log),
        "pidfile": str(directory.pid_file),
    }
    return tuple(part for name, value in options.items() for part in (f"--{name}", value))
