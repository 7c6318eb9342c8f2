"""Signs of life, from a process to the parent that started it, through a pipe.

A thread gives them, so that they stop exactly when no Python code can run there: the process is
stopped, or code in C holds its interpreter. Then its leases run out, too, and what it can do is
lost to its deployment until somebody replaces it.
"""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Self

# Tells a process of ours where to write.
VARIABLE = "TASKLINE_SIGNS_OF_LIFE"

_EVERY_S = 0.5


def give_signs(descriptor: int) -> None:
    """Give signs of life from now on, for as long as this process lives."""
    os.set_inheritable(descriptor, False)
    # A parent that does not listen must not hold up anything here.
    os.set_blocking(descriptor, False)
    _give(descriptor)
    threading.Thread(target=_go_on, args=(descriptor,), name="signs-of-life", daemon=True).start()


def _go_on(descriptor: int) -> None:
    while True:
        time.sleep(_EVERY_S)
        _give(descriptor)


def _give(descriptor: int) -> None:
    # The parent is stopped itself, or gone: then this process ends, too.
    with suppress(BlockingIOError, BrokenPipeError):
        os.write(descriptor, b".")


class SignsOfLife:
    """Of one process, as its parent hears them."""

    def __init__(self, heard: int, given: int) -> None:
        self._heard = heard
        # What the process is to inherit, and to find by this variable.
        self.given = given
        self.environment = {VARIABLE: str(given)}

    @classmethod
    @contextmanager
    def expected(cls) -> Iterator[Self]:
        """Until the block ends; start the process within it, and call `begun` then."""
        heard, given = os.pipe()
        os.set_blocking(heard, False)
        signs = cls(heard, given)
        try:
            yield signs
        finally:
            signs.begun()
            os.close(heard)

    def begun(self) -> None:
        """The process has been started: it alone can write now."""
        if self.given >= 0:
            os.close(self.given)
            self.given = -1

    async def silence(self, limit: timedelta) -> None:
        """Return once there were none for so long after the first.

        Looks are counted, no clock is asked: while this process was stopped as well, with all of
        its terminal or its machine, it did not look.
        """
        begun, silent = False, 0
        while silent * _EVERY_S < limit.total_seconds():
            await asyncio.sleep(_EVERY_S)
            if self._something_heard():
                begun, silent = True, 0
            elif begun:
                silent += 1

    def _something_heard(self) -> bool:
        with suppress(BlockingIOError):
            return bool(os.read(self._heard, 4096))
        return False
