"""Finds the part of a value that JSON cannot hold. Slow; for use after a failure."""

import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from taskline_service.limits import MAX_JSON_DEPTH
from taskline_service.tasks.paths import Path, written

_MAX_INTEGER_DIGITS = 4300

_ADVICE = {
    bytes: "encode it, for example as pydantic.Base64Bytes, or return a reference to it",
    set: "return a sorted list, or declare the set in the return type",
    frozenset: "return a sorted list, or declare the set in the return type",
}


@dataclass(frozen=True, slots=True)
class Culprit:
    """The first part that does not fit, in the order of the value."""

    path: str
    python_type: str
    description: str


def type_name(value: object) -> str:
    """As in "_io.TextIOWrapper"; built-in types without their module."""
    cls = type(value)
    name = cls.__qualname__
    return name if cls.__module__ == "builtins" else f"{cls.__module__}.{name}"


def find_culprit(value: Any, root: str, *, thorough: bool) -> Culprit | None:
    """The first part that JSON cannot hold; None if there is none.

    Args:
        value: What to look through.
        root: What to call it.
        thorough: Also what pydantic would write as something else: bytes, sets, keys
            that are not strings. A declared type may want just that.
    """
    return next(_search(value, root, (), (), thorough), None)


def _search(
    value: Any, root: str, path: Path, above: tuple[int, ...], thorough: bool
) -> Iterator[Culprit]:
    problem = _problem(value, above) or (_subtle_problem(value) if thorough else "")
    if problem:
        yield Culprit(written(root, path), type_name(value), problem)
        return
    try:
        parts = list(_parts(value))
    except Exception:  # whatever a type's own code may raise
        yield Culprit(written(root, path), type_name(value), "cannot be read")
        return
    for key, part in parts:
        yield from _search(part, root, (*path, key), (*above, id(value)), thorough)


def _problem(value: Any, above: tuple[int, ...]) -> str:
    if id(value) in above:
        return "contains itself"
    if len(above) >= MAX_JSON_DEPTH:
        return f"is nested more than {MAX_JSON_DEPTH} deep"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number, and JSON has no other"
    if isinstance(value, int) and value.bit_length() > _MAX_INTEGER_DIGITS * math.log2(10):
        return f"has more than {_MAX_INTEGER_DIGITS} digits"
    if isinstance(value, (dict, list, tuple, BaseModel)) or dataclasses.is_dataclass(value):
        return ""  # its parts will tell
    return "" if _has_json_form(value) else "has no JSON form"


def _subtle_problem(value: Any) -> str:
    if isinstance(value, dict):
        odd = next((key for key in value if not isinstance(key, str)), None)
        return "" if odd is None else f"has a key of type {type_name(odd)}, not str"
    for cls, advice in _ADVICE.items():
        if isinstance(value, cls):
            return f"has no JSON form of its own: {advice}"
    if isinstance(value, (bytearray, memoryview, deque, complex, Iterator)):
        return "has no JSON form of its own"
    return ""


def _has_json_form(value: Any) -> bool:
    if isinstance(value, (bytes, Iterator)):
        return not isinstance(value, bytes) or _is_text(value)
    try:
        to_json(value.value if isinstance(value, Enum) else value)
    except Exception:  # whatever a type's own code may raise
        return False
    return True


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parts(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return enumerate(value)
    if isinstance(value, BaseModel):
        return list(value)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return [(name, getattr(value, name)) for name in names if hasattr(value, name)]
    return ()
