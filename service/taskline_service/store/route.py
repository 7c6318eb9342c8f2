"""The way to a partition: to the address that was given, or to the node of a cluster that has it.

A cluster tells where a key is whenever a node is asked that does not have it, so that one address
is enough, and whatever moves is found again. On a single server all of this is one question for
each connection.
"""

import asyncio
from dataclasses import replace
from typing import Any

from taskline_service.errors import StoreUnavailable
from taskline_service.store.address import RedisAddress
from taskline_service.store.connection import Connection, Moved

# While a cluster changes, its nodes may send us to each other.
_MOST_HOPS = 5


class Route:
    """Leads to the server that has a key; in a cluster it knows the other nodes too."""

    def __init__(self, address: RedisAddress, home: bytes | None) -> None:
        """`home` is the key; without it, any node will do."""
        self._given = address
        self._home = home
        self._at = address
        self._known = [address]

    def __str__(self) -> str:
        return str(self._at)

    async def open(self, **options: Any) -> Connection:
        """Connect, in one try; the next one may lead elsewhere. Options are Connection.open's.

        Raises:
            StoreUnavailable: Nobody answers there.
        """
        try:
            for _ in range(_MOST_HOPS):
                connection = await Connection.open(self._at, **options)
                if self._home is None or await self._is_there(connection, self._home):
                    return connection
            raise StoreUnavailable("the nodes of the cluster do not agree on who has which keys")
        except StoreUnavailable:
            self._turn()
            raise

    def follow(self, moved: Moved) -> None:
        """Lead to where the keys are now."""
        self._at = self._node(*moved.node.rsplit(":", 1))

    async def _is_there(self, connection: Connection, home: bytes) -> bool:
        """Whether this is the place; else the way leads on. Takes note of who else there is."""
        asked = [connection.send(b"EXISTS", home), connection.send(b"CLUSTER", b"SLOTS")]
        try:
            found, slots = await asyncio.gather(*asked, return_exceptions=True)
        except asyncio.CancelledError:
            connection.abort()
            await connection.closed
            raise
        if isinstance(slots, list):  # else it is no cluster, or will not tell
            self._learn(slots)
        if isinstance(found, Moved):
            connection.abort()
            await connection.closed
            self.follow(found)
            return False
        if isinstance(found, StoreUnavailable) and not connection.alive:
            raise found
        return True

    def _learn(self, slots: list[Any]) -> None:
        nodes = [
            self._node((node[0] or b"").decode(), node[1]) for entry in slots for node in entry[2:]
        ]
        self._known = list(dict.fromkeys([self._given, *nodes]))

    def _node(self, host: str, port: str | int) -> RedisAddress:
        """A node as another one names it: without a host if it is on the same."""
        return replace(
            self._given, host=host.strip("[]") or self._at.host, port=int(port), path="", database=0
        )

    def _turn(self) -> None:
        """To another node: if this one is gone for good, the others know who has its keys."""
        place = self._known.index(self._at) if self._at in self._known else -1
        self._at = self._known[(place + 1) % len(self._known)]
