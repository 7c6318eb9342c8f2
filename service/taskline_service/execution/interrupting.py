"""How plain code in the main thread is interrupted."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Ignored unless somebody handles it, and used by hardly anybody.
_SIGNAL = signal.SIGURG


class Interrupted(BaseException):
    """The task is to stop. Raised inside plain functions, wherever they are in Python code."""


@contextmanager
def main_thread_interrupts(meant: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Yields a function for other threads that raises Interrupted in the main thread.

    By a signal, for two reasons: a system call that waits is interrupted too, and `meant` is
    asked in the main thread, where nothing can happen between the question and the exception.
    Enter and leave it in the main thread.
    """
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def handle(_number: int, _frame: FrameType | None) -> None:
        if meant():
            raise Interrupted

    before = signal.signal(_SIGNAL, handle)
    try:
        yield lambda: signal.pthread_kill(main_thread, _SIGNAL)
    finally:
        signal.signal(_SIGNAL, before or signal.SIG_DFL)
