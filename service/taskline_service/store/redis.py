"""Our client of Redis: a connection that comes back by itself, and scripts by name."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar

import msgpack

from taskline_service.errors import StoreDamaged, StoreUnavailable, TasklineError
from taskline_service.forked import Original
from taskline_service.store.address import RedisAddress
from taskline_service.store.connection import Connection, Moved, NoScript, NoWrites, WrongType
from taskline_service.store.damage import DamageReport
from taskline_service.store.route import Route
from taskline_service.store.scripts import SCRIPTS

log = logging.getLogger(__name__)

T = TypeVar("T")

# All of these together decide how soon a call fails, and how soon everything goes on once
# the store is back: within five seconds.
REPLY_TIMEOUT_S = 3.0
# How long a call waits for a lost connection to come back before it says so.
PATIENCE_S = 1.5
_FIRST_BACKOFF_S = 0.05
_LONGEST_BACKOFF_S = 1.0
_PING_EVERY_S = 3.0
# A server that takes no writes is left for another at its address, but not over and over.
_STAY_S = 1.0

_answered_by: ContextVar[float | None] = ContextVar("answered_by", default=None)


@contextlib.contextmanager
def answered_by(instant: float | None) -> Iterator[None]:
    """Within this block calls that have no answer by then fail with StoreUnavailable.

    By the event loop's clock. None lifts the limit, for what outlives the one who waits.
    """
    token = _answered_by.set(instant)
    try:
        yield
    finally:
        _answered_by.reset(token)


def backoff(attempt: int) -> float:
    """Seconds to wait before trying to connect again: doubling, with full jitter."""
    longest = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(attempt, 10))
    return random.uniform(longest / 2, longest)


class Redis:
    """Calls Redis over one connection that is opened again whenever it is lost."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        home: bytes | None = None,
        name: str = "taskline",
        reply_timeout: float = REPLY_TIMEOUT_S,
        damage: DamageReport | None = None,
    ) -> None:
        """Connects when it is first called, or entered.

        Args:
            address: Where the server is; of a cluster, any of its nodes.
            home: A key: of a cluster, the node that has it is the one to call.
            name: For the server's list of connections.
            reply_timeout: Seconds after which a server that owes an answer counts as gone.
            damage: Where to report what cannot be understood, if there is a place already.
        """
        self._route = Route(address, home)
        self._name = name
        self._reply_timeout = reply_timeout
        # What was met there and cannot be understood, by whoever uses this.
        self.damage = damage or DamageReport()
        self._original = Original()
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None

    async def __aenter__(self) -> Self:
        await self._connect_once()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; whatever waits for an answer fails."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])  # what it had opened is closed then
        if self._connection is not None:
            self._connection.abort()
            await self._connection.closed

    async def call(self, *command: bytes | str, patience: float = PATIENCE_S) -> Any:
        """Send one command; once more if the connection is lost on the way.

        So only for commands that may be carried out twice: reads, and our scripts.

        Raises:
            StoreUnavailable: No answer within `patience` seconds after the connection was
                lost, none at all for as long as it stands, or none by `answered_by`.
            StoreDamaged: What is there is not of our making.
        """
        loop, limit = asyncio.get_running_loop(), _answered_by.get()
        give_up = loop.time() + patience
        if limit is not None:
            give_up = min(give_up, limit)
        while True:
            connection = await self._connected(give_up)
            try:
                return await _by(limit, connection.send(*command))
            except Moved as moved:
                self._route.follow(moved)
                connection.abort()
                if loop.time() >= give_up:
                    raise
            except WrongType as error:
                raise StoreDamaged(_key_of(command)) from error
            except NoWrites:
                if connection.age > _STAY_S:
                    connection.abort()
                raise
            except StoreUnavailable:
                if loop.time() >= give_up or connection.alive:
                    raise

    async def script(self, name: str, prefix: bytes, args: dict[str, Any], **options: float) -> Any:
        """Run a script of lua/ with its arguments; returns what it answered, text as bytes."""
        script = SCRIPTS[name]
        packed = msgpack.packb(args, use_bin_type=False)
        try:
            reply = await self.call(b"EVALSHA", script.sha, b"1", prefix, packed, **options)
        except NoScript:
            # Runs and keeps it, in one: a flush of the scripts cannot come in between.
            reply = await self.call(b"EVAL", script.source, b"1", prefix, packed, **options)
        return msgpack.unpackb(reply, raw=True, strict_map_key=False)

    @property
    def where(self) -> str:
        """The server that it calls, for people."""
        return str(self._route)

    @property
    def connected(self) -> bool:
        """Whether a call can be sent at once."""
        return self._connection is not None and self._connection.alive

    def connect_soon(self) -> "asyncio.Task[Connection]":
        """Have the connection come back, even if nobody waits for it."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect(), name="redis-connect")
        return self._connecting

    async def _connected(self, give_up: float) -> Connection:
        self._original.end_copy()
        if self._connection is not None and self._connection.alive:
            return self._connection
        connecting = self.connect_soon()
        try:
            async with asyncio.timeout_at(give_up):
                return await asyncio.shield(connecting)
        except TimeoutError:
            raise StoreUnavailable(f"cannot reach the store at {self._route}") from None

    async def _connect(self) -> Connection:
        attempt = 0
        while True:
            try:
                return await self._connect_once()
            except StoreUnavailable as error:
                if attempt == 0:
                    log.warning("%s; trying again", error)
                await asyncio.sleep(backoff(attempt))
                attempt += 1

    async def _connect_once(self) -> Connection:
        self._connection = await self._route.open(
            name=self._name, reply_timeout=self._reply_timeout
        )
        return self._connection


def _key_of(command: Sequence[bytes | str]) -> str:
    """The key of a plain command; "" for a script, which has named the key if it knows."""
    name, key, *_ = command
    if name in (b"EVAL", b"EVALSHA"):
        return ""
    return key.decode(errors="replace") if isinstance(key, bytes) else key


async def before_patience_ends(answer: "asyncio.Future[T]") -> T:
    """Wait for what a call to the store brings; StoreUnavailable if `answered_by` comes first."""
    return await _by(_answered_by.get(), answer)


async def _by(limit: float | None, answer: "asyncio.Future[T]") -> T:
    if limit is None:
        return await answer
    timer = asyncio.get_running_loop().call_at(limit, _give_up, answer)
    try:
        return await answer
    finally:
        timer.cancel()


def _give_up(answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(StoreUnavailable("the store has not answered in time"))


class Subscription:
    """Keeps a connection subscribed to channels for as long as `run` runs.

    `on_message(channel, data)` gets each message. `on_subscribed` is awaited each time the
    subscription stands, the first time too: messages may have been missed before.
    """

    def __init__(
        self,
        address: RedisAddress,
        channels: Sequence[bytes],
        *,
        on_message: Callable[[bytes, bytes], None],
        on_subscribed: Callable[[], Awaitable[None]],
        name: str = "taskline-subscriber",
    ) -> None:
        # Every node of a cluster tells of everything; this one has the keys that it is about.
        self._route = Route(address, channels[0])
        self._channels = channels
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._name = name
        self._confirmed = 0
        self._heard = 0.0
        self._standing = asyncio.Event()
        self._original = Original()

    async def run(self) -> None:
        """Stay subscribed until cancelled."""
        attempt = 0
        while True:
            try:
                await self._listen()
                attempt = 0
            except TasklineError as error:
                log.debug("subscription: %s", error)
            await asyncio.sleep(backoff(attempt))
            attempt += 1

    async def _listen(self) -> None:
        self._original.end_copy()
        self._confirmed = 0
        self._standing.clear()
        connection = await self._route.open(
            name=self._name, reply_timeout=REPLY_TIMEOUT_S, on_push=self._push
        )
        try:
            connection.subscribe(*self._channels)
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                await self._standing.wait()
            await self._on_subscribed()
            await self._stay(connection)
        except TimeoutError:
            raise StoreUnavailable("the subscription was not confirmed") from None
        finally:
            connection.abort()

    async def _stay(self, connection: Connection) -> None:
        """Wait for the connection to end; end it ourselves when the server falls silent."""
        loop = asyncio.get_running_loop()
        while not connection.closed.done():
            connection.ping_subscribed()
            pinged = loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PING_EVERY_S):
                    await asyncio.shield(connection.closed)
            if self._heard < pinged and not connection.closed.done():
                return

    def _push(self, message: list[Any]) -> None:
        self._heard = asyncio.get_running_loop().time()
        if message[0] == b"message":
            self._on_message(message[1], message[2])
        elif message[0] == b"subscribe":
            self._confirmed += 1
            if self._confirmed == len(self._channels):
                self._standing.set()
