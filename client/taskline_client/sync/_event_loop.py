"""The event loop that all synchronous clients of a process share, in a thread of its own.

One for all: gRPC hands the events of a process to whichever loop comes first, so that each
further one makes all of them slower.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")

_FORKED = (
    "this process was forked after its parent had used a Taskline client, and gRPC does not "
    "survive that: make the first call after the fork"
)


class EventLoop:
    """Runs coroutines for threads that wait for them, from its first user to its last."""

    _shared: ClassVar["EventLoop | None"] = None
    # Where one has run: its last user may be gone, but threads of gRPC end when they please.
    _used_in: ClassVar[int | None] = None
    # May be taken again: a garbage collection can close an iterator wherever it happens.
    _lock: ClassVar = threading.RLock()

    @classmethod
    def join(cls) -> "EventLoop":
        """The loop of this process, for one more user; each has to `leave` it again.

        Raises:
            RuntimeError: This process was forked from one in which it has run.
        """
        with cls._lock:
            cls._used_in = cls._used_in or os.getpid()
            if cls._used_in != os.getpid():
                raise RuntimeError(_FORKED)
            if cls._shared is None:
                cls._shared = cls()
            cls._shared._users += 1
            return cls._shared

    def __init__(self) -> None:
        self._users = 0
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        # A daemon: clients that are never closed do not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="taskline-client", daemon=True)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run it, in the context of the caller: its trace goes on."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def check_process(self) -> None:
        """See that the thread is there.

        Raises:
            RuntimeError: It stayed in the parent of this process.
        """
        if self._pid != os.getpid():
            raise RuntimeError(_FORKED)

    @property
    def is_here(self) -> bool:
        """Whether this is its own thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def leave(self) -> None:
        """One user less; the last one ends it."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            EventLoop._shared = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        logging.getLogger("asyncio").addFilter(_says_something)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()


def _says_something(record: logging.LogRecord) -> bool:
    """False for what asyncio says when an older gRPC wakes every loop of a process for one event.

    Nothing is wrong then: another loop was faster. https://github.com/grpc/grpc/issues/25364
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (
        isinstance(error, BlockingIOError) and "PollerCompletionQueue" in record.getMessage()
    )
