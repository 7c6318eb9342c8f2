"""What is in a record, whoever made it. Pure."""

import logging
import re
import traceback
from collections.abc import Iterator
from typing import Any

# What every record has; the rest was added by who made it, or names the task.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# All that ends a line but newline, C0 but tab, DEL, C1, what reverses the direction of text, and
# halves of surrogate pairs, which have no form in UTF-8.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escaped(text: str) -> str:
    """The text without what would steer a terminal, or could not be written."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def escaped_in_json(text: str) -> str:
    """The same of JSON text, in the way of JSON."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def message_of(record: logging.LogRecord) -> str:
    """The message; one whose arguments do not fit it goes without them."""
    try:
        return record.getMessage()
    except Exception:  # foreign code: the arguments may do anything when they are shown
        return f"{record.msg!s} (its arguments do not fit)"


def added_to(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """The fields of its own, in their order."""
    return ((name, value) for name, value in vars(record).items() if name not in _STANDARD)


def traceback_of(record: logging.LogRecord) -> str:
    """The exception and the stack that belong to it; "" without one."""
    parts = [record.exc_text or "", record.stack_info or ""]
    if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
        try:
            parts[0] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        except Exception:  # foreign code again
            parts[0] = f"{type(record.exc_info[1]).__qualname__} (cannot be shown)"
    return "\n".join(filter(None, parts))
