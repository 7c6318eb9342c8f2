"""The two forms of a record: a line for people, and a line of JSON."""

import json
import logging
import re
import textwrap
from datetime import UTC, datetime
from typing import Any

from taskline_service.logs.records import (
    added_to,
    escaped,
    escaped_in_json,
    message_of,
    traceback_of,
)

# What tasks and callers say may be long; their records have it whole.
LONGEST_LINE = 500
LONGEST_FIELD = 100
LONGEST_MESSAGE_IN_JSON = 8_000

_PLAIN = re.compile(r"[\w.:/+-]+", re.ASCII)
# Their message has it in words.
_SAID = frozenset({"outcome", "seconds", "error_type", "exception_class", "retry_in"})


class ForPeople(logging.Formatter):
    """Time, level, process, logger and message, then the fields; a traceback is set in below.

    What names the task stands last on the line, where no message can be in its place.
    """

    def __init__(self, who: str) -> None:
        """`who` is the process: several may write to one terminal."""
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; no line of it but the first begins as one."""
        source = f"{record.levelname} [{self._who}] {record.name}"
        head = f"{self.formatTime(record)} {source}: {message_of(record)}"
        line = _cut(escaped(head).replace("\n", "\\n"), LONGEST_LINE)
        fields = [_field(name, value) for name, value in added_to(record) if name not in _SAID]
        lines = [" ".join([line, *fields])]
        if below := traceback_of(record):
            # Set in, which no record is.
            lines.append(textwrap.indent(escaped(below), "    ", lambda _line: True))
        return "\n".join(lines)


class AsJson(logging.Formatter):
    """One object per line: what every record has, and the fields."""

    def __init__(self, who: str) -> None:
        """`who` is the process."""
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": _cut(message_of(record), LONGEST_MESSAGE_IN_JSON),
            "process": self._who,
            # Of a child, where the record comes from one.
            "pid": record.process,
        }
        for name, value in added_to(record):
            entry.setdefault(name, value)
        if below := traceback_of(record):
            entry["traceback"] = below
        return _to_json(entry)


def _to_json(entry: dict[str, Any]) -> str:
    # Here, so that who only imports the package does without.
    import orjson

    options = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    try:
        text = orjson.dumps(entry, default=_text, option=options).decode()
    except Exception:  # integers beyond 64 bits, halves of surrogate pairs, loops: as text then
        plain = {
            name: value if isinstance(value, int | datetime) else _text(value)
            for name, value in entry.items()
        }
        text = json.dumps(plain, default=datetime.isoformat)
    return escaped_in_json(text)


def _field(name: str, value: Any) -> str:
    text = _cut(value if isinstance(value, str) else _text(value), LONGEST_FIELD)
    return f"{_quoted(name)}={_quoted(text)}"


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else escaped(json.dumps(text, ensure_ascii=False))


def _text(value: Any) -> str:
    """Of anything, whatever it does when it is shown."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__qualname__}>"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
