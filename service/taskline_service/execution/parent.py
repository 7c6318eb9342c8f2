"""The worker, as its child process sees it."""

import socket
import threading
from collections.abc import Callable

from taskline_service import forked
from taskline_service.execution.interrupting import Interrupted
from taskline_service.execution.messages import (
    LENGTH_BYTES,
    Message,
    from_frame,
    length_of,
    to_frame,
)
from taskline_service.forked import Original


class ParentGone(Exception):
    """Nobody listens any more."""


class Parent:
    """The connection to the worker; may be used from any thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._original = Original()
        forked.keep_from_copies(connection.fileno())
        self._lock = threading.Lock()
        # Whether the main thread is sending, and must not be interrupted: half a message
        # would be left on the line.
        self.main_is_sending = False
        # Whether it is to be interrupted, asked when it has sent.
        self.interrupted: Callable[[], bool] = _never

    def send(self, message: Message) -> None:
        """Send a message; waits while the worker does not read.

        Raises:
            ParentGone: It never will, or this is a copy of the process that it knows.
        """
        if not self._original.is_here:
            raise ParentGone
        frame = to_frame(message)
        if threading.current_thread() is not threading.main_thread():
            self._send(frame)
            return
        self.main_is_sending = True
        try:
            self._send(frame)
        finally:
            self.main_is_sending = False
        if self.interrupted():
            raise Interrupted

    def _send(self, frame: bytes) -> None:
        with self._lock:
            try:
                self._connection.sendall(frame)
            except OSError as error:
                raise ParentGone from error

    def receive(self) -> Message:
        """Wait for the next message; for one thread only.

        Raises:
            ParentGone: There will be none.
        """
        return from_frame(self._read(length_of(self._read(LENGTH_BYTES))))

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                part = self._connection.recv(size - len(data))
            except OSError as error:
                raise ParentGone from error
            if not part:
                raise ParentGone
            data += part
        return bytes(data)


def _never() -> bool:
    return False
