"""Text for people: what servers and tasks wrote must not steer the terminal."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

from taskline_client.types import ErrorType, Progress, TaskError

# Escape sequences whole: the printable rest of one would be noise.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # cursor, colours
    r"|\x1b[\]P^_X].*?(?:\x07|\x1b\\|\x9c|$)"  # titles, links, clipboard
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
# C0 but tab and newline, DEL, C1, and what reverses the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_MINUTE = 60
# What comes before it: its size, the next smaller one and that one's size, in seconds.
_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))


def printable(text: str) -> str:
    """Without control characters and terminal escapes; lines stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def for_this_output(text: str) -> str:
    """For standard output: printable on a terminal, exact in a pipe."""
    return printable(text) if sys.stdout.isatty() else text


def on_one_line(text: str) -> str:
    """Printable, with every run of white space made one space."""
    return " ".join(printable(text).split())


def progress_text(progress: Progress) -> str:
    """As in "60/100 (60.0%)"; only the count while the total is unknown."""
    if progress.total is None:
        return number(progress.current)
    done, total = number(progress.current), number(progress.total)
    return f"{done}/{total} ({progress.percentage:.1f}%)"


def share_text(share: float) -> str:
    """Of 1, in percent."""
    return f"{100 * share:.1f}%"


def number(value: float) -> str:
    """As people write it: without ".0", and without what adding up tenths leaves behind."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.10g}"


def time_text(time: datetime | None) -> str:
    """In UTC, to the second; empty if there is none."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else ""


def clock_text(time: datetime | None) -> str:
    """The time of day, for what is of today as a rule; with the date if it is not."""
    if time is None:
        return ""
    today = datetime.now(time.tzinfo).date()
    return f"{time:%H:%M:%SZ}" if time.date() == today else time_text(time)


def counted(count: int, noun: str) -> str:
    """As in "1 task", "2 tasks"."""
    return counted_text(str(count), noun)


def counted_text(count: str, noun: str) -> str:
    """The same of a number that is written already."""
    return f"{count} {noun}{'' if count == '1' else 's'}"


def seconds_text(span: timedelta) -> str:
    """As in "1 second", "0.5 seconds"."""
    return counted_text(f"{span.total_seconds():g}", "second")


def span_text(span: timedelta | None) -> str:
    """The two largest units of it, or milliseconds; empty if there is none."""
    if span is None:
        return ""
    seconds = span.total_seconds()
    if 0 < seconds < 1:
        return f"{number(float(f'{seconds * 1000:.3g}'))}ms"
    if seconds < _MINUTE:
        return f"{number(round(seconds, 1))}s"
    unit, size, smaller, of_smaller = next(each for each in _UNITS if seconds >= each[1])
    whole, rest = divmod(seconds, size)
    more = f"{rest // of_smaller:.0f}{smaller}" if rest >= of_smaller else ""
    return f"{whole:.0f}{unit}{more}"


def error_text(error: TaskError) -> str:
    """Class and message, on one line; without the module if that is Python's own."""
    name = error.exception_class.removeprefix("builtins.")
    what = f"{name}: " if name else ""
    return on_one_line(f"{what}{error.message}")


def error_facts(error: TaskError) -> Sequence[tuple[str, str]]:
    """The rest that people act on, under the contract's names; its traceback is told apart.

    None of a cancellation, of which the state and the message say everything.
    """
    if error.error_type is ErrorType.CANCELLED:
        return ()
    details = dict(error.details) if error.details else None
    return (
        ("error_type", str(error.error_type)),
        ("is_retryable", "true" if error.is_retryable else "false"),
        ("details", json.dumps(details, ensure_ascii=False) if details else ""),
    )


def error_lines(error: TaskError) -> str:
    """What is told below the line of an error: its facts, and the task's own traceback."""
    facts = (f"{name}: {on_one_line(value)}" for name, value in error_facts(error) if value)
    return "\n".join([*facts, *filter(None, [printable(error.traceback.rstrip())])])
