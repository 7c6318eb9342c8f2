"""What people write in options, as values: spans, times, states, JSON, KEY=VALUE."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from taskline_client.types import ErrorType, TaskState

Choice = TypeVar("Choice")

_UNITS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|[smhd]?)")
# What a span on the wire can be, and more than anybody waits.
_LONGEST = timedelta(days=36500)


def span(text: str) -> timedelta:
    """A number of seconds, or one with a unit: 1.5, 90s, 15m, 2h, 7d, 100ms."""
    found = _SPAN.fullmatch(text)
    if not found:
        raise typer.BadParameter(f"{text!r} is not a span such as 1.5, 90s, 15m, 2h or 7d")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST.total_seconds():
        raise typer.BadParameter(f"{text!r} is more than a hundred years")
    return timedelta(seconds=seconds)


def address_of(text: str) -> str:
    """Of a server. An empty one is an unset variable of a script, and no wish for another."""
    if not text.strip():
        raise typer.BadParameter("is empty: it should be HOST:PORT")
    return text


def attempts(text: str) -> int:
    """How many a task may have."""
    if not re.fullmatch("-1|0*[1-9][0-9]*", text):
        raise typer.BadParameter(f"{text!r} is not a number from 1 on, nor -1 for no limit")
    return int(text)


def instant(text: str) -> datetime:
    """A time as in ISO 8601, in the own time zone if it names none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is not a time such as 2026-01-31T10:00:00Z"
        raise typer.BadParameter(message) from error


def instant_or_ago(text: str) -> datetime:
    """A time, or how long ago it was."""
    if _SPAN.fullmatch(text):
        return datetime.now(UTC) - span(text)
    try:
        return instant(text)
    except typer.BadParameter as error:
        raise typer.BadParameter(f"{error.message}, nor how long ago, such as 2h") from error


def state(text: str) -> "TaskState":
    """A state by its name, in any case."""
    from taskline_client.types import TaskState

    return _one_of((each for each in TaskState if each is not TaskState.UNKNOWN), text)


def error_type(text: str) -> "ErrorType":
    """A kind of error by its name, in any case."""
    from taskline_client.types import ErrorType

    return _one_of(ErrorType, text)


def _one_of(known: Iterable[Choice], text: str) -> Choice:
    choices = {str(each).lower(): each for each in known}
    # As the contract spells them, too.
    name = text.lower().removeprefix("state_").removeprefix("type_")
    if name not in choices:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(choices)}")
    return choices[name]


def input_bytes(arguments: Sequence[str], json_input: str | None) -> bytes | None:
    """The input as JSON text, of values just as they were written. None if there is none."""
    if arguments == ["-"] and json_input is None:
        arguments, json_input = (), "-"
    if json_input is None:
        members = [
            f"{_as_json(key)}: {text if _is_json(text) else _as_json(text)}"
            for key, text in pairs(arguments).items()
        ]
        return f"{{{', '.join(members)}}}".encode() if members else None
    if arguments:
        raise typer.BadParameter("give either KEY=VALUE arguments or --json, not both")
    text = _read(json_input)
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise typer.BadParameter(f"--json is not JSON: {error}") from error
    except RecursionError as error:
        raise typer.BadParameter("--json is nested too deep") from error
    return text


def quoted_as_text(arguments: Sequence[str], key: str) -> str:
    """How to write the argument of this name so that it is text; empty if it is, or is not there.

    In a shell's words, ready to be copied.
    """
    for argument in arguments:
        name, _, text = argument.partition("=")
        if name == key and _is_json(text) and not isinstance(json.loads(text), str):
            return shlex.quote(f"{name}={_as_json(text)}")
    return ""


def pairs(options: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE options as a dict."""
    found: dict[str, str] = {}
    for key, value in map(_pair, options):
        if key in found:
            raise typer.BadParameter(f"{key!r} is given twice")
        found[key] = value
    return found


def given(**options: Any) -> dict[str, Any]:
    """Those of them that were given."""
    return {name: value for name, value in options.items() if value is not None}


def by(parse: Callable[[str], Any], *names: str, metavar: str, help: str) -> Any:
    """An option whose value `parse` reads."""
    return typer.Option(*names, parser=parse, metavar=metavar, help=help, show_default=False)


def _pair(option: str) -> tuple[str, str]:
    key, equals, value = option.partition("=")
    if not key or not equals:
        raise typer.BadParameter(f"{option!r} is not KEY=VALUE")
    return key, value


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity are Python's idea of JSON only."""
    raise ValueError(f"{name} is not JSON")


def _read(json_input: str) -> bytes:
    if json_input == "-":
        return sys.stdin.buffer.read()
    if not json_input.startswith("@"):
        return json_input.encode()
    try:
        return Path(json_input[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"--json {json_input}: {error.strerror}") from error
