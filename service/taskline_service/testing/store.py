"""The store that all services of a process of tests share, in memory alone."""

import asyncio
import atexit
import tempfile
import threading
from concurrent.futures import Future
from functools import cache
from pathlib import Path

from taskline_service.embedded import EmbeddedStore


@cache
def shared_store() -> "SharedStore":
    """The one of this process; started when it is first asked for."""
    store = SharedStore()
    atexit.register(store.end)
    return store


class SharedStore:
    """A server that runs until this process ends.

    In a thread of its own, as the server ends with the thread that has started it: that of a
    test may be gone before the next one.
    """

    def __init__(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ServerNotFound: There is no Valkey or Redis on this machine.
            ServerEnded: It did not come up.
        """
        self._started: Future[str] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name="taskline-testing-store", daemon=True
        )
        self._thread.start()
        self.url = self._started.result()

    def end(self) -> None:
        """End the server, and wait until it has ended."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            with tempfile.TemporaryDirectory(prefix="taskline-testing-") as folder:
                async with EmbeddedStore.start(Path(folder), durable=False) as store:
                    self._started.set_result(store.url)
                    await self._over.wait()
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
