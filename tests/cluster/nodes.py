"""A real cluster of local processes, to be asked, killed, started again and moved about."""

import asyncio
import contextlib
import functools
import itertools
import os
import random
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

from taskline_service.die_with_parent import wrapped
from taskline_service.embedded.binary import find_server
from taskline_service.errors import StoreUnavailable
from taskline_service.store import Keys, RedisAddress, parse_redis_url
from taskline_service.store.connection import Connection

SLOTS = 16384
# Soon enough for a test, and late enough for a busy machine.
_NODE_TIMEOUT_MS = 2000
_LOOK_AGAIN_S = 0.02


class Node:
    """One server of a cluster; it keeps what it has in a folder."""

    def __init__(self, folder: Path, program: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.program = program
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def address(self) -> RedisAddress:
        """The same, parsed."""
        return parse_redis_url(self.url)

    async def start(self) -> None:
        """Start it, again with what it has; returns when it answers."""
        process = self._spawn()
        async with asyncio.timeout(20):
            while not await self._answers():
                assert process.poll() is None, "the node has ended"

    def _spawn(self) -> "subprocess.Popen[bytes]":
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self._folder,
            "save": "",
            "appendonly": "yes",
            "cluster-enabled": "yes",
            "cluster-node-timeout": _NODE_TIMEOUT_MS,
            # The other partitions go on while one is away.
            "cluster-require-full-coverage": "no",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            wrapped(str(self.program), *words), stdout=subprocess.DEVNULL
        )
        return self._process

    async def _answers(self) -> bool:
        try:
            await self.call("PING")
        except StoreUnavailable:
            await asyncio.sleep(_LOOK_AGAIN_S)
            return False
        return True

    async def call(self, *command: str | bytes) -> Any:
        """What it answers itself: nobody is sent elsewhere."""
        if self._connection is None or not self._connection.alive:
            self._connection = await Connection.open(self.address, name="test", reply_timeout=5)
        return await self._connection.call(*command)

    async def info(self, section: str, name: str) -> str:
        """One line of what it tells of itself."""
        text: bytes = await self.call(*section.split())
        return dict(line.split(":", 1) for line in text.decode().split() if ":" in line)[name]

    async def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._connection is not None:
            self._connection.abort()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)


class Cluster:
    """Masters, each with a part of the slots; replicas if asked for."""

    def __init__(self, masters: Sequence[Node], folder: Path, exits: AsyncExitStack) -> None:
        self.nodes = list(masters)
        self._folder = folder
        self._exits = exits

    @classmethod
    @asynccontextmanager
    async def running(
        cls, folder: Path, *, masters: int = 3, program: Path | None = None
    ) -> AsyncIterator[Self]:
        """From its beginning to its end."""
        program = program or find_server()
        async with AsyncExitStack() as stack:
            nodes = list[Node]()
            for number in range(masters):
                nodes.append(Node(folder / f"node-{number}", program))
                stack.push_async_callback(nodes[-1].kill)
            await asyncio.gather(*(node.start() for node in nodes))
            cluster = cls(nodes, folder, stack)
            for number, node in enumerate(nodes):
                first, end = SLOTS * number // masters, SLOTS * (number + 1) // masters
                slots = map(str, range(first, end))  # servers before 7.0 know no ranges
                await node.call("CLUSTER", "ADDSLOTS", *slots)
                await node.call("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            for node in nodes[1:]:
                await node.call("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port))
            await cluster.whole()
            yield cluster

    async def whole(self) -> None:
        """Wait until every node knows of every slot."""
        for node in self.nodes:
            await _until(functools.partial(_knows_all, node))

    async def add_replica_of(self, master: Node) -> Node:
        """One more node, which takes over when the master is gone; returns when it is ready to."""
        replica = Node(self._folder / f"replica-of-{master.port}", master.program)
        self._exits.push_async_callback(replica.kill)
        await replica.start()
        identity = await _id(master)
        for node in self.nodes:
            await replica.call("CLUSTER", "MEET", "127.0.0.1", str(node.port))

        async def has_met() -> bool:
            nodes = await replica.call("CLUSTER", "NODES")
            return identity in nodes and b"handshake" not in nodes

        async def is_known() -> bool:
            """To all, or nobody would vote for it."""
            told = [(await node.call("CLUSTER", "NODES")).decode() for node in self.nodes]
            lines = [line for text in told for line in text.splitlines() if " slave " in line]
            return sum(f":{replica.port}@" in line for line in lines) == len(self.nodes)

        async def has_all() -> bool:
            return await replica.info("INFO replication", "master_link_status") == "up"

        await _until(has_met)
        await replica.call("CLUSTER", "REPLICATE", identity)
        await _until(has_all)
        await _until(is_known)
        self.nodes.append(replica)
        return replica

    async def taken_over_by(self, replica: Node, keys: Keys) -> None:
        """Wait until all know that it has the partition."""

        async def all_know() -> bool:
            return await self.owner(keys) is replica

        await _until(all_know)

    async def owner(self, keys: Keys) -> Node | None:
        """The master that has a partition; None while the nodes do not agree on it."""
        slot = int(await self.nodes[0].call("CLUSTER", "KEYSLOT", keys.prefix))
        ports = {
            port
            for node in self.nodes
            for first, last, (_, port, *_), *_ in await node.call("CLUSTER", "SLOTS")
            if first <= slot <= last
        }
        owners = [node for node in self.nodes if node.port in ports]
        return owners[0] if len(ports) == len(owners) == 1 else None

    async def begin_move(self, keys: Keys, target: Node) -> None:
        """From here on the slot of a partition is on its way to another node, key by key."""
        source = await self._source(keys)
        slot = await source.call("CLUSTER", "KEYSLOT", keys.prefix)
        await target.call("CLUSTER", "SETSLOT", str(slot), "IMPORTING", await _id(source))
        await source.call("CLUSTER", "SETSLOT", str(slot), "MIGRATING", await _id(target))

    async def move_keys(self, keys: Keys, target: Node, *, most: int = 1_000_000) -> None:
        """Carry keys of the slot over."""
        source = await self._source(keys)
        slot = str(await source.call("CLUSTER", "KEYSLOT", keys.prefix))
        names = await source.call("CLUSTER", "GETKEYSINSLOT", slot, str(most))
        where = ("127.0.0.1", str(target.port), "", "0", "5000", "KEYS")
        await source.call("MIGRATE", *where, *names)

    async def _source(self, keys: Keys) -> Node:
        owner = await self.owner(keys)
        assert owner is not None
        return owner

    async def end_move(self, keys: Keys, target: Node) -> None:
        """The slot belongs to the other node from now on."""
        slot = str(await target.call("CLUSTER", "KEYSLOT", keys.prefix))
        identity = await _id(target)
        for node in (target, *(node for node in self.nodes if node is not target)):
            await node.call("CLUSTER", "SETSLOT", slot, "NODE", identity)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _knows_all(node: Node) -> bool:
    told = [await node.info("CLUSTER INFO", f"cluster_{name}") for name in ("slots_ok", "state")]
    return told == [str(SLOTS), "ok"]


async def _id(node: Node) -> bytes:
    identity: bytes = await node.call("CLUSTER", "MYID")
    return identity


def _ports_of_this_process() -> Iterator[int]:
    """Each of them long after it was used last, and never one of another process of the tests.

    The nodes of a cluster go on calling one that is gone: another that had its port would be
    drawn into their cluster.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 20_000 + process % 20 * 100
    return itertools.cycle(random.sample(range(first, first + 100), 100))


_ports = _ports_of_this_process()


def _free_port() -> int:
    """One that is free, with that of the cluster's bus, which is ten thousand above.

    Both are below those that connections take at random: one of these could come in between.
    """
    for port in _ports:
        with socket.socket() as own, socket.socket() as bus, contextlib.suppress(OSError):
            own.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port
    raise AssertionError("there is always a next one")
