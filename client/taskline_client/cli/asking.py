"""Asks at the terminal before many things change."""

import select
import signal
import sys
from enum import Enum, auto

# How late a Ctrl-C may be heard that comes just before the terminal is read from, which it
# then does not interrupt.
_LOOK_UP_S = 0.1


class Answer(Enum):
    """What somebody said."""

    YES = auto()
    NO = auto()
    INTERRUPTED = auto()


_ANSWERS = {"y": Answer.YES, "yes": Answer.YES, "n": Answer.NO, "no": Answer.NO, "": Answer.NO}


def ask(question: str) -> Answer:
    """Wait for an answer; nothing else goes on meanwhile."""
    # An event loop's own handler only takes a note, and would act on it after the answer.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while (answer := _ANSWERS.get(_line(f"{question} [y/N]: ").strip().lower())) is None:
            print("please answer y or n", file=sys.stderr)
        return answer
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)
        return Answer.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, handler)


def _line(prompt: str) -> str:
    # Standard output is for what was done.
    print(prompt, end="", file=sys.stderr, flush=True)
    while not select.select([sys.stdin], [], [], _LOOK_UP_S)[0]:
        pass
    if not (line := sys.stdin.readline()):
        raise EOFError
    return line
