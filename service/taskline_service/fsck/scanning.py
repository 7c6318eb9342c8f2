"""Reads keys of any size in bounded steps."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from taskline_service.errors import StoreDamaged
from taskline_service.store import Keys, Redis

# Keys or members that the store is asked for at a time.
_PAGE = 500
# Sorted sets: there may be very many small ones, and each question takes a way there and back.
_AT_ONCE = 10

Member = tuple[bytes, bytes]


class Scanner:
    """Goes through the keys of a namespace, and through what is in them.

    What is there all the while comes at least once, what comes and goes meanwhile perhaps. A key
    of another type than expected seems empty: that it has this type is an offence of its own.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._prefix = keys.prefix

    async def keys(self) -> AsyncIterator[list[bytes]]:
        """Pages of the names of all keys, without the prefix."""
        async for page in self._pages(b"SCAN", match=self._prefix + b"*"):
            yield [name.removeprefix(self._prefix) for name in page]

    async def members_of_zsets(self, names: Sequence[bytes]) -> AsyncIterator[list[Member]]:
        """Pages of the members of sorted sets, several of which are asked for at a time."""
        for start in range(0, len(names), _AT_ONCE):
            cursors = dict.fromkeys(names[start : start + _AT_ONCE], b"0")
            while cursors:
                steps = [self._step(b"ZSCAN", self._prefix + n, c) for n, c in cursors.items()]
                replies = dict(zip(cursors, await asyncio.gather(*steps), strict=True))
                yield [(name, id_) for name, (_, page) in replies.items() for id_ in page[::2]]
                cursors = {name: cursor for name, (cursor, _) in replies.items() if cursor != b"0"}

    async def members_of_zset(self, name: bytes) -> AsyncIterator[list[bytes]]:
        """Pages of the members of a sorted set."""
        async for page in self._pages(b"ZSCAN", self._prefix + name):
            yield page[::2]

    async def fields_of_hash(self, name: bytes) -> AsyncIterator[list[bytes]]:
        """Pages of the fields of a hash."""
        async for page in self._pages(b"HSCAN", self._prefix + name):
            yield page[::2]

    async def members_of_set(self, name: bytes) -> AsyncIterator[list[bytes]]:
        """Pages of the members of a set."""
        async for page in self._pages(b"SSCAN", self._prefix + name):
            yield page

    async def text(self, name: bytes) -> bytes | None:
        """What a string has, if there is one."""
        try:
            found: bytes | None = await self._redis.call(b"GET", self._prefix + name)
        except StoreDamaged:  # it is no text
            return None
        return found

    async def _pages(
        self, command: bytes, *key: bytes, match: bytes | None = None
    ) -> AsyncIterator[list[bytes]]:
        cursor, only = b"0", (b"MATCH", match) if match is not None else ()
        while True:
            cursor, page = await self._step(command, *key, cursor, *only)
            yield page
            if cursor == b"0":
                return

    async def _step(self, *command: bytes) -> tuple[bytes, list[bytes]]:
        try:
            cursor, page = await self._redis.call(*command, b"COUNT", str(_PAGE))
        except StoreDamaged:  # of another type: that is an offence of its own
            return b"0", []
        return cursor, page


async def all_of(pages: AsyncIterator[list[bytes]]) -> set[bytes]:
    """Everything on the pages."""
    return {member async for page in pages for member in page}
