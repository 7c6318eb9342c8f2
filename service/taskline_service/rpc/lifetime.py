"""Whether the server goes on, as its long calls see it."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator

from taskline_service.errors import ServerDraining

# Long calls end one after the other, so that their callers do not come back all at once.
_SPREAD_S = 2.0


class Lifetime:
    """Lets calls that wait end when the server drains."""

    def __init__(self) -> None:
        self.draining = False
        self._waiting: set[Callable[[], None]] = set()

    @contextlib.contextmanager
    def woken(self, wake: Callable[[], None]) -> Iterator[None]:
        """Within this block `wake` is called once the server drains."""
        self._waiting.add(wake)
        if self.draining:  # since the caller looked
            wake()
        try:
            yield
        finally:
            self._waiting.discard(wake)

    def check(self) -> None:
        """Raise ServerDraining if the server shuts down."""
        if self.draining:
            raise ServerDraining("the server is shutting down")

    def drain(self, *, spread: float = _SPREAD_S) -> None:
        """From now on calls that wait are woken, at random moments within `spread` seconds."""
        self.draining = True
        loop = asyncio.get_running_loop()
        for wake in self._waiting:
            loop.call_later(random.uniform(0, spread), wake)
