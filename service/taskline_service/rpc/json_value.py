"""JSON <-> google.protobuf.Value, exactly. Pure.

By hand: google.protobuf.json_format is three times slower and rounds integers
without a word.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value

from taskline_service.limits import MAX_VALUE_DEPTH

# Beyond this a double no longer tells neighbouring whole numbers apart.
MAX_EXACT = 2**53 - 1

# From here on orjson may have rounded: it reads longer integers as doubles.
_ORJSON_MAY_ROUND = 2.0**63
# An integer of more characters, sign included, is surely beyond MAX_EXACT.
_EXACT_CHARACTERS = 17

# Of as many digits as one that needs more than 64 bits, at least.
_LONG_INTEGER = re.compile(rb"[0-9]{19,}")

_FALSY: Mapping[str, Any] = {"string_value": "", "number_value": 0, "null_value": None}


class NotRepresentable(Exception):
    """The value cannot be written in the other form; the text says why."""


def json_from_value(value: Value) -> bytes:
    """The JSON text of a protobuf value; whole doubles become integers.

    Raises:
        NotRepresentable: NaN, an infinity, a value of no kind, or more than 30 levels.
    """
    # Sorted, because the members of a protobuf struct have no order: equal values, equal text.
    return orjson.dumps(_plain(value, MAX_VALUE_DEPTH), option=orjson.OPT_SORT_KEYS)


def fill_value(value: Value, data: bytes) -> None:
    """Write the JSON text `data` into the empty `value`.

    Integers beyond 2^53-1 in magnitude are written as decimal strings.

    Raises:
        NotRepresentable: More than 30 levels, a number with a fraction or an exponent beyond
            the range of a double, or not JSON.
    """
    try:
        _fill(value, _loads(data), MAX_VALUE_DEPTH)
    except _MayBeRoundedError:
        value.Clear()
        _fill(value, _loads_exactly(data), MAX_VALUE_DEPTH)


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:  # perhaps for an integer beyond the range of a double
        return _loads_exactly(data)


def _loads_exactly(data: bytes) -> Any:
    try:
        return json.loads(
            data, parse_int=_int_or_digits, parse_float=_Double, parse_constant=_Double
        )
    except (ValueError, RecursionError) as error:
        raise NotRepresentable(str(error)) from error


def canonical(data: bytes) -> bytes:
    """The same for every text of a JSON value, whatever its spacing and the order of members.

    Numbers are told apart as they are written: 1 is not 1.0.
    """
    text = orjson.dumps(orjson.loads(data), option=orjson.OPT_SORT_KEYS)
    if b"e+" in text:  # perhaps an integer that was rounded: only its digits tell which it was
        text = b"\0".join((text, *sorted(_LONG_INTEGER.findall(data))))
    return text


def struct_of(plain: Mapping[str, Any]) -> Struct:
    """A JSON object; integers beyond 2^53-1 in magnitude are written as decimal strings.

    Raises:
        NotRepresentable: More than 30 levels.
    """
    value, text = Value(), json.dumps(dict(plain))
    _fill(value, json.loads(text, parse_int=_int_or_digits, parse_float=_Double), MAX_VALUE_DEPTH)
    return value.struct_value


def exceeds(data: bytes, limit: int) -> bool:
    """Whether `data` as a Value surely takes more than `limit` bytes.

    Looks at no more of it than `limit` needs. False means perhaps.
    """
    # Two bytes of text ("1,") take eleven at the most.
    if 6 * len(data) <= limit:
        return False
    try:
        pending = [_loads(data)]
    except NotRepresentable:
        return False  # to be told by fill_value
    size = 0
    while pending and size <= limit:
        item = pending.pop()
        if isinstance(item, list):
            size += 4 * len(item)  # tag, length, and at least two bytes of content
            pending.extend(item)
        elif isinstance(item, dict):
            size += 8 * len(item) + sum(map(len, item))
            pending.extend(item.values())
        elif isinstance(item, str):
            size += len(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            size += 7
    return size > limit


def _plain(value: Value, levels: int) -> Any:
    # A member that is set and not falsy needs no question which one it is:
    # that saves a quarter of the time.
    if text := value.string_value:
        return text
    if number := value.number_value:
        return _whole_or_double(number)
    kind = value.WhichOneof("kind")
    if kind == "bool_value":
        return value.bool_value
    if kind in ("struct_value", "list_value"):
        return _plain_container(value, kind, levels - 1)
    if kind is None:
        raise NotRepresentable("holds a google.protobuf.Value of no kind")
    return _FALSY[kind]


def _plain_container(value: Value, kind: str, levels: int) -> Any:
    if levels < 0:
        raise NotRepresentable(f"nested more than {MAX_VALUE_DEPTH} levels deep; use json_bytes")
    if kind == "list_value":
        return [_plain(item, levels) for item in value.list_value.values]
    fields = value.struct_value.fields
    return {name: _plain(fields[name], levels) for name in fields}


def _whole_or_double(number: float) -> int | float:
    if number.is_integer():
        return int(number) if -MAX_EXACT <= number <= MAX_EXACT else number
    if not math.isfinite(number):
        raise NotRepresentable("holds NaN or an infinity, which JSON does not have")
    return number


def _fill(value: Value, plain: Any, levels: int) -> None:
    kind = type(plain)  # isinstance would take a bool for an int
    if kind is str:
        value.string_value = plain
    elif kind is int and -MAX_EXACT <= plain <= MAX_EXACT:
        value.number_value = plain
    elif kind is int:
        value.string_value = str(plain)
    elif kind is float:
        if not -_ORJSON_MAY_ROUND < plain < _ORJSON_MAY_ROUND:
            raise _MayBeRoundedError
        value.number_value = plain
    elif kind is bool:
        value.bool_value = plain
    elif plain is None:
        value.null_value = NULL_VALUE
    elif kind is _Double and math.isfinite(plain):
        value.number_value = plain
    elif kind is _Double:
        raise NotRepresentable("holds a number beyond the range of a double")
    else:
        _fill_container(value, plain, levels - 1)


def _fill_container(value: Value, plain: Any, levels: int) -> None:
    if levels < 0:
        raise NotRepresentable(f"nested more than {MAX_VALUE_DEPTH} levels deep")
    # SetInParent because an empty container sets nothing else.
    if isinstance(plain, dict):
        value.struct_value.SetInParent()
        fields = value.struct_value.fields
        for name, item in plain.items():
            _fill(fields[name], item, levels)
    else:
        value.list_value.SetInParent()
        values = value.list_value.values
        for item in plain:
            _fill(values.add(), item, levels)


class _MayBeRoundedError(Exception):
    """A double so large that it may have been an integer."""


class _Double(float):
    """A number that was surely not written as an integer."""


def _int_or_digits(digits: str) -> int | str:
    # Long ones stay text: there is no need to make an int of them and back.
    return int(digits) if len(digits) <= _EXACT_CHARACTERS else digits
