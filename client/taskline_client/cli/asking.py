"""Asks at the terminal before many things change."""

import signal
import sys
from enum import Enum, auto

import typer


class Answer(Enum):
    """What somebody said."""

    YES = auto()
    NO = auto()
    INTERRUPTED = auto()


def ask(question: str) -> Answer:
    """Wait for an answer; nothing else goes on meanwhile."""
    # An event loop's own handler only takes a note, and would act on it after the answer.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # Standard output is for what was done.
        return Answer.YES if typer.confirm(question, err=True) else Answer.NO
    except typer.Abort:
        print(file=sys.stderr)
        return Answer.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, handler)
