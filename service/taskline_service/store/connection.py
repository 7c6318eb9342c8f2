"""One pipelined connection to Redis: many calls at once, answers in order.

Why not redis-py here: a pool of its connections costs 31-39 us of CPU per command where
this one costs 2 (docs/decisions.md), it repeats writes whose answer was lost, and a
cancelled call may leave its answer to the next one.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

from taskline_service import forked
from taskline_service.errors import (
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
    TasklineError,
)
from taskline_service.store.address import RedisAddress

CONNECT_TIMEOUT_S = 2.0
# A link that takes less is as good as none. What is large is given time to pass one like this.
_SLOWEST_BYTES_PER_S = 1024 * 1024

# Errors that pass by themselves, by the first word of the answer: the server is loading, or
# busy, or its disk is full,
_PASSING = frozenset({"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF"})
# or its keys are on their way to another node of a cluster. Nobody follows them there before all
# have arrived: a script that found some of them only would take the others for gone.
_ON_THE_WAY = frozenset({"ASK"})
# or it has become a replica, or is about to.
_DEMOTED = frozenset({"READONLY", "NOREPLICAS", "UNBLOCKED"})
# What lua/_soundness.lua raises, however the server wraps it.
_DAMAGED_KEY = re.compile("DAMAGED_KEY<<(.*)>>", re.DOTALL)


class StoreError(TasklineError):
    """Redis refused a command for a reason that a repeat will not mend."""


class NoScript(StoreError):
    """Redis does not have the script, for example after a restart."""


class WrongType(StoreError):
    """A key holds something of another type than the command is for."""


class NoWrites(StoreUnavailable):
    """The server takes no writes from us, as its part changed; another may have its part."""


class Moved(StoreUnavailable):
    """The keys are on another node of the cluster, `node`; nothing was done."""

    node = ""

    @classmethod
    def to(cls, node: str) -> "Moved":
        """To HOST:PORT; without a host, of the same host."""
        moved = cls(f"the store has the keys on another node now ({node})")
        moved.node = node
        return moved


def error_from(reply: Exception) -> TasklineError:
    """What an error reply of Redis means to us."""
    text = str(reply)
    word = text.split(" ", 1)[0]
    if word == "NOSCRIPT":
        return NoScript(text)
    if word == "MOVED":
        return Moved.to(text.split(" ")[2])
    # 6.2 wraps what happens in a script: "ERR Error running script …: -OOM command not …".
    if word == "OOM" or "-OOM " in text:
        return StoreFull("the store is out of memory")
    for kind, words in ((StoreUnavailable, _PASSING | _ON_THE_WAY), (NoWrites, _DEMOTED)):
        for known in words:
            if word == known or f"-{known} " in text:
                return kind(f"the store does not take commands now ({known})")
    if damaged := _DAMAGED_KEY.search(text):
        return StoreDamaged(damaged[1])
    return WrongType(text) if "WRONGTYPE " in text else StoreError(text)


class Connection(asyncio.Protocol):
    """Sends commands without waiting for the answers to earlier ones.

    A server that owes an answer and says nothing for longer than `reply_timeout` (seconds) counts
    as gone: everything that waits fails with StoreUnavailable. What a failed call did is unknown.
    It does not count as long as a command may still be on its way, or an answer arrives in parts.
    """

    def __init__(
        self, *, reply_timeout: float, on_push: Callable[[list[Any]], None] | None
    ) -> None:
        self._reader = hiredis.Reader()
        # Each with when it was sent, and how long it may be on its way.
        self._waiting: deque[tuple[asyncio.Future[Any], float, float]] = deque()
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._reply_timeout = reply_timeout
        self._on_push = on_push
        self._watchdog: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._heard_at = self._loop.time()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def open(
        cls,
        address: RedisAddress,
        *,
        name: str,
        reply_timeout: float,
        on_push: Callable[[list[Any]], None] | None = None,
    ) -> "Connection":
        """Connect and introduce ourselves.

        `on_push` gets what arrives on subscribed channels.

        Raises:
            StoreUnavailable: Nobody answers there.
        """
        loop = asyncio.get_running_loop()

        def protocol() -> Connection:
            return cls(reply_timeout=reply_timeout, on_push=on_push)

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if address.path:
                    _, self = await loop.create_unix_connection(protocol, address.path)
                else:
                    _, self = await loop.create_connection(
                        protocol, address.host, address.port, ssl=address.tls
                    )
                try:
                    await self._introduce(address, name)
                except BaseException:
                    self.abort()
                    raise
        except (OSError, TimeoutError, StoreError) as error:  # StoreError: a wrong password
            reason = str(error) or type(error).__name__
            raise StoreUnavailable(f"cannot connect to {address}: {reason}") from error
        return self

    async def _introduce(self, address: RedisAddress, name: str) -> None:
        if address.password:
            user = [address.username] if address.username else []
            await self.call(b"AUTH", *user, address.password)
        if address.database:
            await self.call(b"SELECT", str(address.database))
        await self.call(b"CLIENT", b"SETNAME", name)

    @property
    def alive(self) -> bool:
        """Whether commands can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return self._loop.time() - self._opened_at

    async def call(self, *command: bytes | str) -> Any:
        """Send one command and wait for its answer.

        Raises:
            StoreUnavailable: No answer; whether the command was carried out is unknown.
            StoreError, StoreFull: Redis refused it.
        """
        return await self.send(*command)

    def _write(self, *command: bytes | str) -> int:
        """Returns how many bytes it has."""
        assert self._transport is not None
        # The stub of pack_command describes a tuple of one.
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]
        self._transport.write(packed)
        return len(packed)

    def send(self, *command: bytes | str) -> "asyncio.Future[Any]":
        """Send one command; the future gets its answer. Cancelling it forgets the answer only."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None or not self.alive:
            future.set_exception(StoreUnavailable("the connection to the store is closed"))
            return future
        way = self._write(*command) / _SLOWEST_BYTES_PER_S
        self._waiting.append((future, self._loop.time(), way))
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._reply_timeout, self._check_oldest)
        return future

    def subscribe(self, *channels: bytes) -> None:
        """From now on `on_push` gets what is published; calls are no longer possible."""
        self._write(b"SUBSCRIBE", *channels)

    def ping_subscribed(self) -> None:
        """Have the server say something on a subscribed connection, which shows that it lives."""
        self._write(b"PING")

    def abort(self) -> None:
        """Close at once; whatever waits fails."""
        if self._transport is not None:
            self._transport.abort()

    def _check_oldest(self) -> None:
        self._watchdog = None
        if not self._waiting:
            return
        # Those before it are answered: what is on its way is this one, and what comes behind it.
        _, sent_at, way = self._waiting[0]
        left = max(sent_at, self._heard_at) + way + self._reply_timeout - self._loop.time()
        if left <= 0:
            self.abort()
        else:
            self._watchdog = self._loop.call_later(left, self._check_oldest)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports are no asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        self._descriptor = transport.get_extra_info("socket").fileno()
        forked.keep_from_copies(self._descriptor)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if self._on_push is not None and not self._waiting:
                if isinstance(reply, list):
                    self._on_push(reply)
                continue
            future, *_ = self._waiting.popleft()
            if future.done():  # its caller was cancelled
                continue
            if isinstance(reply, Exception):
                future.set_exception(error_from(reply))
            else:
                future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        forked.closed(self._descriptor)
        if self._watchdog is not None:
            self._watchdog.cancel()
        while self._waiting:
            future, *_ = self._waiting.popleft()
            if not future.done():
                future.set_exception(StoreUnavailable("the connection to the store was lost"))
        if not self.closed.done():
            self.closed.set_result(None)
