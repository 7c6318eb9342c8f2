"""The options that several commands have, and the values they stand for."""

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

Address = Annotated[
    str,
    typer.Option(
        "--address", envvar="TASKLINE_ADDRESS", metavar="HOST:PORT", help="The server to ask."
    ),
]
DEFAULT_ADDRESS = "127.0.0.1:50051"


class Output(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    ID = "id"


OutputOption = Annotated[
    Output,
    typer.Option(
        "--output",
        "-o",
        help="table: for people; json: as grpcurl prints it; jsonl: one line each; id: names only.",
    ),
]

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help='The task\'s arguments. A value that is JSON (12, true, null, [1], "text") is '
        "taken as that, anything else as text.",
        show_default=False,
    ),
]
JsonInput = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="JSON|@FILE|-",
        help="The whole input instead: JSON text, a file of it, or - for standard input.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="To find the task again; may be repeated."),
]


def input_bytes(arguments: Sequence[str], json_input: str | None) -> bytes | None:
    """The input as JSON text; given whole it keeps its bytes. None if there is none."""
    if json_input is None:
        values = {key: _value(text) for key, text in pairs(arguments).items()}
        return json.dumps(values, ensure_ascii=False).encode() if values else None
    if arguments:
        raise typer.BadParameter("give either KEY=VALUE arguments or --json, not both")
    text = _read(json_input)
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise typer.BadParameter(f"--json is not JSON: {error}") from error
    return text


def pairs(options: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE options as a dict."""
    found: dict[str, str] = {}
    for key, value in map(_pair, options):
        if key in found:
            raise typer.BadParameter(f"{key!r} is given twice")
        found[key] = value
    return found


def seconds(option: float | None) -> timedelta | None:
    """An option that is given in seconds."""
    return None if option is None else timedelta(seconds=option)


def _pair(option: str) -> tuple[str, str]:
    key, equals, value = option.partition("=")
    if not key or not equals:
        raise typer.BadParameter(f"{option!r} is not KEY=VALUE")
    return key, value


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


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
