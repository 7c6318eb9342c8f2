"""A TCP port in front of something, whose connections a test can cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Passes bytes on, both ways."""

    def __init__(self, behind: Callable[[], Awaitable[Streams]]) -> None:
        """`behind` opens a connection to what is relayed."""
        self._behind = behind
        self._refuses = False
        self._writers = set[asyncio.StreamWriter]()
        self.address = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Relay"]:
        """Pass on until the block ends."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self
            self.cut(refuse=True)

    def cut(self, *, refuse: bool = False) -> int:
        """Break all connections, and any new one if `refuse`; returns how many there were."""
        self._refuses = refuse
        cut = {writer for writer in self._writers if not writer.is_closing()}
        for writer in cut:
            writer.transport.abort()
        return len(cut) // 2

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        far_reader, far_writer = await self._behind()
        self._writers |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


def relay_of_server(address: str) -> Relay:
    """In front of a server."""
    host, port = address.split(":")
    return Relay(lambda: asyncio.open_connection(host, int(port)))


def relay_of_store(path: str) -> Relay:
    """In front of a store that listens on a unix socket."""
    return Relay(lambda: asyncio.open_unix_connection(path))
