"""The same work for several who ask at about the same time, done once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Sharing(Generic[K, V]):
    """Work under way, by what it is about."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[V]] = {}

    async def of(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What the work brings, or its error: that of who came first, while it is under way."""
        doing = self._under_way.get(key)
        if doing is None:
            # A task of its own: others wait for it too if who came first goes away.
            doing = asyncio.create_task(work())
            self._under_way[key] = doing
            doing.add_done_callback(lambda done: self._after(key, done))
        return await asyncio.shield(doing)

    def _after(self, key: K, done: asyncio.Task[V]) -> None:
        del self._under_way[key]
        heed(done)


def heed(done: asyncio.Task[Any]) -> None:
    """Of its error who waits is told, and nobody may be there any more to wait."""
    if not done.cancelled():
        done.exception()
