"""Finds the part of a value that JSON cannot hold. Slow; for use after a failure."""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from taskline_service.limits import MAX_JSON_DEPTH
from taskline_service.tasks.paths import Path, written
from taskline_service.tasks.strict import declares_its_parts, refused_parts

_MAX_INTEGER_DIGITS = 4300
_MAX_KEY_CHARACTERS = 64

_ADVICE = {
    bytes: "encode it, for example as pydantic.Base64Bytes, or return a reference to it",
    set: "return a sorted list, or declare the set in the return type",
    frozenset: "return a sorted list, or declare the set in the return type",
}
_CONVERT = "declare its type in the return type, or convert it"
_NO_UTF_8 = "no UTF-8 form: it has one half of a surrogate pair"


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


def find_culprit(value: Any, root: str, hint: Any) -> Culprit | None:
    """The first part that JSON cannot hold; None if there is none.

    Args:
        value: What to look through.
        root: What to call it.
        hint: Its type. Where that is Any, so are the parts that pydantic would write as
            something else: bytes, sets, dates, keys that are not strings.
    """
    return next(_search(_Place(value, (), ()), root, refused_parts(hint, value)), None)


def find_unwritable_key(value: Any, root: str) -> Culprit | None:
    """The first part with a key that has no UTF-8 form, in a value that could be written."""
    return next(_unwritable_keys(value, root, ()), None)


def _unwritable_keys(value: Any, root: str, path: Path) -> Iterator[Culprit]:
    if problem := _key_problem(value):
        yield Culprit(written(root, path), type_name(value), problem)
    for key, part in _parts(value):
        yield from _unwritable_keys(part, root, (*path, key))


@dataclass(frozen=True, slots=True)
class _Place:
    """A part, and the way to it."""

    value: Any
    path: Path
    above: tuple[int, ...]
    # Whether no type declares how it is written, and it cannot be written as it is.
    undeclared: bool = False


def _search(place: _Place, root: str, refused: list[Any]) -> Iterator[Culprit]:
    value = place.value
    undeclared = place.undeclared or any(value is part for part in refused)
    problem = _problem(value, place.above) or (_undeclared_problem(value) if undeclared else "")
    if problem:
        yield Culprit(written(root, place.path), type_name(value), problem)
        return
    if undeclared and declares_its_parts(value):
        undeclared, refused = False, refused_parts(type(value), value)
    try:
        parts = list(_parts(value))
    except Exception:  # whatever a type's own code may raise
        yield Culprit(written(root, place.path), type_name(value), "cannot be read")
        return
    above = (*place.above, id(value))
    for key, part in parts:
        yield from _search(_Place(part, (*place.path, key), above, undeclared), root, refused)


def _problem(value: Any, above: tuple[int, ...]) -> str:
    if id(value) in above:
        return "contains itself"
    if len(above) >= MAX_JSON_DEPTH:
        return f"is nested more than {MAX_JSON_DEPTH} deep"
    if isinstance(value, (float, int)):
        return _number_problem(value)
    if _is_unwritable(value):
        return f"is text that has {_NO_UTF_8}"
    if isinstance(value, (dict, list, tuple)) or declares_its_parts(value):
        return _key_problem(value)  # its parts will tell
    return "" if _has_json_form(value) else "has no JSON form"


def _number_problem(value: float) -> str:
    if isinstance(value, float):
        finite = math.isfinite(value)
        return "" if finite else "is not a finite number, and JSON has no other"
    if value.bit_length() > _MAX_INTEGER_DIGITS * math.log2(10):
        return f"has more than {_MAX_INTEGER_DIGITS} digits"
    return ""


def _undeclared_problem(value: Any) -> str:
    if isinstance(value, Enum):
        return _undeclared_problem(value.value)
    if isinstance(value, dict):
        odd = next((key for key in value if not isinstance(key, str)), None)
        return "" if odd is None else f"has a key of type {type_name(odd)}, not str"
    if value is None or isinstance(value, (str, int, float, list, tuple)):
        return ""
    if declares_its_parts(value):
        return ""
    advice = next((text for cls, text in _ADVICE.items() if isinstance(value, cls)), _CONVERT)
    return f"has no JSON form of its own: {advice}"


def _key_problem(value: Any) -> str:
    keys = value if isinstance(value, dict) else ()
    key = next(filter(_is_unwritable, keys), None)
    if key is None:
        return ""
    return f"has the key {json.dumps(key[:_MAX_KEY_CHARACTERS])}, which has {_NO_UTF_8}"


def _is_unwritable(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


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
