"""A Valkey or Redis process of a test's own, to be ended, started again and put into trouble."""

import asyncio
import resource
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from taskline_service.die_with_parent import wrapped
from taskline_service.embedded.binary import find_server
from taskline_service.embedded.ping import Readiness, ping
from taskline_service.store import RedisAddress, parse_redis_url
from taskline_service.store.connection import Connection

_UNLIMITED = resource.RLIM_INFINITY


class OwnStore:
    """One server, which keeps its data in a folder, with an append-only file unless told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "store.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: Connection | None = None

    @property
    def address(self) -> RedisAddress:
        """Where it is, without a proxy in between."""
        return parse_redis_url(f"unix://{self._socket}")

    async def start(self, **options: str) -> None:
        """Start it, again with what it has; returns when it is ready.

        `options` are those of its configuration, with _ for -.
        """
        self._spawn(options)
        await self._answers(Readiness.READY)

    async def start_slowly(self, **options: str) -> None:
        """Start it so that it takes a millisecond for each key it has; returns when it loads.

        It answers once every two megabytes of what it loads.
        """
        self._spawn({**options, "key_load_delay": "1000"})
        await self._answers(Readiness.LOADING)

    def _spawn(self, options: Mapping[str, str]) -> None:
        given = {
            "port": "0",
            "unixsocket": str(self._socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        words = [word for name, value in given.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            wrapped(str(find_server()), *words),
            stdout=subprocess.DEVNULL,
            # As Python does, it does not die of writing more than it may: see `disk_full`.
            restore_signals=False,
        )

    async def _answers(self, readiness: Readiness) -> None:
        assert self._process is not None
        async with asyncio.timeout(20):
            while await ping(self._socket) is not readiness:
                assert self._process.poll() is None, "the store has ended"
                await asyncio.sleep(0.01)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; returns when it has ended."""
        if self._admin is not None:
            self._admin.abort()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            await asyncio.to_thread(self._process.wait)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, as SIGSTOP and SIGCONT."""
        assert self._process is not None
        self._process.send_signal(number)

    async def call(self, *command: bytes | str) -> object:
        """Speak to it as its operator does."""
        if self._admin is None or not self._admin.alive:
            self._admin = await Connection.open(self.address, name="operator", reply_timeout=20)
        return await self._admin.call(*command)

    async def fill_memory(self) -> None:
        """It has no more memory than what it uses now."""
        await self.call(b"CONFIG", b"SET", b"maxmemory", b"1")

    async def free_memory(self) -> None:
        """It has as much as it likes."""
        await self.call(b"CONFIG", b"SET", b"maxmemory", b"0")

    def disk_full(self, full: bool = True) -> None:
        """Let none of its files grow from now on: what it appends fails, as on a full disk."""
        assert self._process is not None
        limit = (0, _UNLIMITED) if full else (_UNLIMITED, _UNLIMITED)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, limit)
