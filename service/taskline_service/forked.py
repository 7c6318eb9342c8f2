"""Copies of our processes, which the code of a task makes with os.fork().

A copy is there for the code that made it, and ends where that comes back to us: what would go on is
the work of the original. It cannot reach what the original is connected to. Those that
multiprocessing and subprocess make never come back to us, and need no more than that.
"""

import os
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, NoReturn, Self, TypeVar

_T = TypeVar("_T")

_STDERR = 2
# One entry for each fork that made this process out of the first.
_forks = list[int]()
_connected = set[int]()
# What a copy has in the place of a connection: nobody is at the other end.
_dead_end, _nobody = (end.detach() for end in socket.socketpair())
os.close(_nobody)


def _begin_copy() -> None:
    _forks.append(os.getpid())
    for descriptor in _connected:
        os.dup2(_dead_end, descriptor, inheritable=False)
    _connected.clear()


os.register_at_fork(after_in_child=_begin_copy)


def keep_from_copies(descriptor: int) -> None:
    """A connection that copies are not to have, until it is closed."""
    _connected.add(descriptor)


def closed(descriptor: int) -> None:
    """The connection is closed, or about to be: its number may soon be that of another."""
    _connected.discard(descriptor)


class Original:
    """The process in which this was made."""

    def __init__(self) -> None:
        self._forks = len(_forks)

    @property
    def is_here(self) -> bool:
        """Whether this is that process, and not a copy of it."""
        return self._forks == len(_forks)

    def only(self, act: Callable[..., _T]) -> Callable[..., _T]:
        """The same function, for this process alone; in a copy it raises RuntimeError."""

        def acted(*args: Any, **options: Any) -> _T:
            if not self.is_here:
                raise RuntimeError(
                    "a copy of the process, made by fork, cannot report for its task"
                )
            return act(*args, **options)

        return acted

    def end_copy(self, raised: BaseException | None = None) -> None:
        """End a copy, as Python ends a program that has come to its end, or has raised this."""
        if not self.is_here:
            _end(raised)


def contained(call: Callable[[], _T]) -> _T:
    """Call the code of a task; only in the original does this return, or raise."""
    original = Original()
    try:
        value = call()
    except BaseException as error:
        original.end_copy(error)
        raise
    original.end_copy()
    return value


class Contained(Awaitable[Any]):
    """Awaits the code of a task; only in the original does it go on, from any step of it."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        has_steps = hasattr(awaitable, "send") and hasattr(awaitable, "throw")
        self._steps: Any = awaitable if has_steps else _awaited(awaitable)

    # It has itself what `await` asks a generator for.
    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return contained(partial(self._steps.send, None))

    def send(self, value: Any) -> Any:
        """The next step."""
        return contained(partial(self._steps.send, value))

    def throw(self, *error: Any) -> Any:
        """The next step, which begins with an exception."""
        return contained(partial(self._steps.throw, *error))

    def close(self) -> None:
        """The last step."""
        contained(self._steps.close)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _end(raised: BaseException | None) -> NoReturn:
    """Without what the original does at its end."""
    code = 1
    try:
        code = _exit_code(raised)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)


def _exit_code(raised: BaseException | None) -> int:
    if raised is None or isinstance(raised, StopIteration | StopAsyncIteration):
        return 0
    if not isinstance(raised, SystemExit):
        _say("".join(traceback.format_exception(raised)))
        return 1
    if raised.code is None or isinstance(raised.code, int):
        return raised.code or 0
    _say(f"{raised.code}\n")
    return 1


def _say(text: str) -> None:
    # Not by sys.stderr, whose lock a thread may have had that is not in the copy.
    os.write(_STDERR, text.encode(errors="backslashreplace"))
