"""Integers as ProtoJSON writes them: beyond 2^53 as decimal strings."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema_rs import ValidationError

from taskline_service.tasks.paths import Path, located
from taskline_service.tasks.published import JsonSchema

_PATTERN = r"^-?(0|[1-9][0-9]{0,999})$"
_DECIMAL = re.compile(_PATTERN[1:-1])
# Their values are not schemas.
_DATA = {"default", "const", "enum", "examples"}


def integers_in_strings(errors: Iterable[ValidationError], value: Any) -> Iterator[Path]:
    """Where only an integer fits and the decimal string of one is found."""
    for error in errors:
        kind: Any = error.kind
        if kind.name == "type" and "integer" in kind.types and _is_decimal(error.instance):
            yield located(value, error.instance_path, error.instance)
        for branch in getattr(kind, "context", ()):
            yield from integers_in_strings(branch, value)


def with_integers(value: Any, places: Iterable[Path]) -> Any:
    """The value with the strings at these places read; changes it in place."""
    holder = [value]
    for place in places:
        node: Any = holder
        *way, last = (0, *place)
        for part in way:
            node = node[part]
        node[last] = int(node[last])
    return holder[0]


def lenient(schema: Any) -> Any:
    """The schema, with decimal strings for integers; limits do not apply to those."""
    if isinstance(schema, list):
        return [lenient(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner: JsonSchema = {
        key: part if key in _DATA else lenient(part) for key, part in schema.items()
    }
    if not _wants_integer(schema.get("type")):
        return inner
    return {"if": {"type": "string", "pattern": _PATTERN}, "then": True, "else": inner}


def _wants_integer(types: Any) -> bool:
    return types == "integer" or (
        isinstance(types, list) and "integer" in types and "string" not in types
    )


def _is_decimal(value: object) -> bool:
    return isinstance(value, str) and _DECIMAL.fullmatch(value) is not None
