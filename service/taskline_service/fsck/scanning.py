"""Reads keys of any size in bounded steps."""

from collections.abc import AsyncIterator

from taskline_service.store import Keys, Redis, StoreError

# Keys or members that the store is asked for at a time.
_PAGE = 500


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

    async def _pages(
        self, command: bytes, *key: bytes, match: bytes | None = None
    ) -> AsyncIterator[list[bytes]]:
        cursor = b"0"
        only = (b"MATCH", match) if match is not None else ()
        while True:
            step = (command, *key, cursor, *only, b"COUNT", str(_PAGE))
            try:
                cursor, page = await self._redis.call(*step)
            except StoreError as error:
                if not str(error).startswith("WRONGTYPE"):
                    raise
                return
            yield page
            if cursor == b"0":
                return


async def all_of(pages: AsyncIterator[list[bytes]]) -> set[bytes]:
    """Everything on the pages."""
    return {member async for page in pages for member in page}
