"""A proxy in front of a real store that does to connections what networks do.

    async with Proxy(parse_redis_url(redis_url)) as proxy:
        redis = Redis(parse_redis_url(proxy.url))
        proxy.latency_s = 0.05
        proxy.cut_reply(of=b"EVALSHA")

Faults can be combined, and changed while calls are under way. Proxies do not know of each
other: give each process one of its own to part it alone from the store.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from taskline_service.store import RedisAddress

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all


class Proxy:
    """Listens on a port of loopback; whoever connects there is connected to the store.

    Attributes:
        latency_s: Added to what goes either way, so twice to a call; order is kept.
        jitter_s: At random up to so much more.
        bytes_per_s: Of each connection, each way; 0 for no limit.
        split: Everything arrives byte by byte.
        cuts: How many connections were cut so far.
        upstream: Where new connections lead to; neither password nor TLS is used.
    """

    def __init__(self, upstream: RedisAddress) -> None:
        """Prepare to stand in front of a store."""
        self.latency_s = 0.0
        self.jitter_s = 0.0
        self.bytes_per_s = 0.0
        self.split = False
        self.cuts = 0
        self.upstream = upstream
        self._links = set[_Link]()
        self._running = set[asyncio.Task[None]]()
        self._passing = asyncio.Event()
        self._passing.set()
        self._armed: _Cut | None = None
        self._server: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.refuse()
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where to find the store, through this proxy."""
        return f"redis://127.0.0.1:{self._port}/{self.upstream.database}"

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._links)

    # What happens to connections

    def cut_request(self, *, of: bytes = b"", after: int = 0) -> None:
        """Close the next connection that sends `of`; the store gets `after` bytes of it."""
        self._armed = _Cut(of, after, reply=False)

    def cut_reply(self, *, of: bytes = b"", after: int = 0) -> None:
        """Close the next connection that sends `of` when the store has answered.

        The store has carried it out, and `after` bytes of its reply still arrive.
        """
        self._armed = _Cut(of, after, reply=True)

    def reset(self) -> None:
        """End all connections with a RST."""
        for link in list(self._links):
            link.reset()

    def half_open(self) -> None:
        """From now on the connections that are there stay, and carry nothing. New ones work."""
        for link in self._links:
            link.dead = True

    def blackhole(self) -> None:
        """Nothing passes in either direction, not even an end; new connections are accepted."""
        self._passing.clear()

    def refuse(self) -> None:
        """Accept no new connections."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Accept connections again, on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def heal(self) -> None:
        """From now on no fault; what a blackhole held back arrives, unless its sender has gone."""
        self.latency_s = self.jitter_s = self.bytes_per_s = 0.0
        self.split, self._armed = False, None
        self._passing.set()

    # How they get there

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running = asyncio.current_task()
        assert running is not None
        self._running.add(running)
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            await self._passing.wait()
            await link.run(self.upstream)
        except (OSError, asyncio.CancelledError):  # one of the two has gone, or the proxy has
            pass
        finally:
            link.close()
            self._links.discard(link)
            self._running.discard(running)

    def cut_of(self, data: bytes) -> "_Cut | None":
        """The cut that is meant for a connection that sends this."""
        cut = self._armed
        if cut is None or cut.of not in data:
            return None
        self._armed = None
        return cut

    def delay(self) -> float:
        """How long something that was just sent is under way."""
        return self.latency_s + random.uniform(0, self.jitter_s)

    async def passing(self) -> None:
        """Return as soon as there is no blackhole."""
        await self._passing.wait()


class _Cut:
    def __init__(self, of: bytes, after: int, *, reply: bool) -> None:
        self.of = of
        self.after = after
        self.reply = reply


class _CutOff(ConnectionError):
    """The connection has been cut, as it was to be."""


class _Link:
    """One connection of a client, and its continuation to the store."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.dead = False
        self._proxy = proxy
        self._from_client, self._to_client = reader, writer
        self._to_store: asyncio.StreamWriter | None = None
        self._reply_cut: _Cut | None = None

    async def run(self, upstream: RedisAddress) -> None:
        """Pass on what comes until one of the two closes."""
        if upstream.path:
            from_store, self._to_store = await asyncio.open_unix_connection(upstream.path)
        else:
            from_store, self._to_store = await asyncio.open_connection(upstream.host, upstream.port)
        ways = {
            asyncio.create_task(self._carry(self._from_client, self._to_store, requests=True)),
            asyncio.create_task(self._carry(from_store, self._to_client, requests=False)),
        }
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def close(self) -> None:
        for writer in self._writers():
            writer.transport.abort()

    def reset(self) -> None:
        for writer in self._writers():
            peer = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def _writers(self) -> Iterator[asyncio.StreamWriter]:
        yield self._to_client
        if self._to_store is not None:
            yield self._to_store

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, requests: bool
    ) -> None:
        """One way: reading does not wait for what is still under way."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1000)
        arriving = asyncio.create_task(self._arrive(under_way, target, requests=requests))
        try:
            loop, ended = asyncio.get_running_loop(), False
            while not ended:
                data = await source.read(_CHUNK)
                await under_way.put((loop.time() + self._proxy.delay(), data))
                ended = not data
            await arriving
        finally:
            arriving.cancel()

    async def _arrive(
        self,
        under_way: "asyncio.Queue[tuple[float, bytes]]",
        target: asyncio.StreamWriter,
        *,
        requests: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_at, data = await under_way.get()
            await asyncio.sleep(due_at - loop.time())
            await self._proxy.passing()
            if self.dead:
                if not data and not requests:
                    await asyncio.Event().wait()  # the end of the store is not heard of either
                if data:
                    continue
            if not data or (requests and self._from_client.at_eof()):
                return
            try:
                await self._write(target, data, requests=requests)
            except _CutOff:
                self._proxy.cuts += 1
                self.close()
                return

    async def _write(self, target: asyncio.StreamWriter, data: bytes, *, requests: bool) -> None:
        cut = self._cut_now(data, requests=requests)
        rest = data if cut is None else data[: cut.after]
        step = 1 if self._proxy.split else len(rest)
        if self._proxy.bytes_per_s:
            await asyncio.sleep(len(rest) / self._proxy.bytes_per_s)
        for start in range(0, len(rest), step or 1):
            target.write(rest[start : start + step])
            await target.drain()
            if self._proxy.split:
                await asyncio.sleep(0)
        if cut is not None:
            raise _CutOff

    def _cut_now(self, data: bytes, *, requests: bool) -> _Cut | None:
        """The cut that this is the place for."""
        if not requests:
            return self._reply_cut
        cut = self._proxy.cut_of(data)
        if cut is not None and cut.reply:
            self._reply_cut = cut
            return None
        return cut
