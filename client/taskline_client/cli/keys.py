"""Keys that somebody presses while a screen is shown."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_key(key: str, act: Callable[[], object]) -> Iterator[None]:
    """Do this as soon as the key is pressed, where there is a terminal to read from."""
    try:
        import termios
        import tty
    except ModuleNotFoundError:  # on Windows
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    terminal, loop = sys.stdin.fileno(), asyncio.get_running_loop()

    def read() -> None:
        pressed = os.read(terminal, 1024).decode(errors="replace")
        if not pressed:  # nobody is there any more
            loop.remove_reader(terminal)
        elif key in pressed:
            act()

    before = termios.tcgetattr(terminal)
    # Key by key, and none of them shown; Ctrl-C stays what it is.
    tty.setcbreak(terminal)
    loop.add_reader(terminal, read)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
