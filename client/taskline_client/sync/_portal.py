"""From a client's methods into the event loop where the asynchronous client runs, and back."""

import concurrent.futures
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import Future
from contextlib import suppress
from threading import RLock
from typing import Any, TypeVar

from taskline_client.errors import ClientClosed
from taskline_client.sync._event_loop import EventLoop

T = TypeVar("T")


class Portal:
    """Waits for coroutines of one client, from any thread, until that is closed."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._event_loop: EventLoop | None = None
        self._under_way: set[Future[Any]] = set()
        self._closed = False

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What it returns or raises.

        Raises:
            ClientClosed: The client is closed, or was closed meanwhile.
            RuntimeError: This process was forked from one that used it.
        """
        future = self._start(coroutine)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClientClosed(under_way=True) from None
        except BaseException:  # also a Ctrl-C, which came to this thread alone
            future.cancel()
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """One item after the other, each when it is asked for."""
        try:
            while found := self.call(_next(items)):
                yield from found
        except GeneratorExit:
            # Not waited for: it may come from a garbage collection, in whatever thread.
            with suppress(ClientClosed, RuntimeError):  # closing the client has ended it
                self._start(items.aclose())
            raise

    def close(self, client_close: Coroutine[Any, Any, None]) -> None:
        """End what is under way, close the client, and take no more calls."""
        with self._lock:
            event_loop, self._event_loop = self._event_loop, None
            self._closed = True
            under_way = list(self._under_way)
        if event_loop is None:
            client_close.close()
            return
        for future in under_way:
            future.cancel()
        event_loop.start(client_close).result()
        event_loop.leave()

    def _start(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        try:
            with self._lock:
                future = self._joined().start(coroutine)
                self._under_way.add(future)
        except BaseException:
            coroutine.close()
            raise
        future.add_done_callback(self._under_way.discard)
        return future

    def _joined(self) -> EventLoop:
        if self._closed:
            raise ClientClosed
        if self._event_loop is None:
            self._event_loop = EventLoop.join()
        self._event_loop.check_process()
        if self._event_loop.is_here:
            raise RuntimeError("code that a synchronous client runs cannot call one")
        return self._event_loop


async def _next(items: AsyncGenerator[T, None]) -> tuple[T, ...]:
    """The next item; nothing after the last."""
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return ()
