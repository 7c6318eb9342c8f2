"""ProtoJSON as grpcurl prints it, byte for byte, so that what reads one reads the other.

Where protobuf's own Python writer differs from the Go one behind grpcurl: maps are
sorted, doubles are written as JavaScript does, and `<`, `>`, `&` are escaped.
"""

import json
import re
from base64 import b64encode
from decimal import Decimal
from math import isfinite
from typing import Any

from google.protobuf import any_pb2, duration_pb2, json_format, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

# What Go's encoder escapes and Python's does not.
_ESCAPED_BY_GO = re.compile("[<>&\u2028\u2029]")

# Between these, numbers are written without an exponent.
_PLAIN_IN_FIELD, _PLAIN_IN_VALUE = (1e-4, 1e6), (1e-6, 1e21)


class _Double(float):
    """A number in a field of type double; numbers in JSON values are plain floats.

    grpcurl writes the former as Go's %g and the latter as JavaScript does.
    """


def to_json(message: Message, *, indent: int | None = 2) -> str:
    """The message as grpcurl prints it; on one line if `indent` is None."""
    return _text(_plain(message), indent, 0)


def _plain(message: Message) -> Any:
    """Objects, lists and scalars; members in the order of the contract, maps sorted."""
    match message:
        case timestamp_pb2.Timestamp() | duration_pb2.Duration():
            return message.ToJsonString()
        case struct_pb2.Struct():
            return {key: _plain(message.fields[key]) for key in sorted(message.fields)}
        case struct_pb2.ListValue():
            return [_plain(value) for value in message.values]
        case struct_pb2.Value():
            return _plain_value(message)
        case any_pb2.Any():
            return json_format.MessageToDict(message)
        case _:
            fields = message.ListFields()
            return {field.json_name: _plain_field(field, value) for field, value in fields}


def _plain_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    inner = getattr(value, kind)
    return _plain(inner) if isinstance(inner, Message) else inner


def _plain_field(field: FieldDescriptor, value: Any) -> Any:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        entry = kind.fields_by_name["value"]
        return {str(key): _plain_item(entry, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_plain_item(field, item) for item in value]
    return _plain_item(field, value)


def _plain_item(field: FieldDescriptor, value: Any) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return _plain(value)
        case FieldDescriptor.CPPTYPE_ENUM:
            return _enum_name(field, value)
        case FieldDescriptor.CPPTYPE_INT64 | FieldDescriptor.CPPTYPE_UINT64:
            return str(value)
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return _Double(value)
        case _:
            return b64encode(value).decode() if isinstance(value, bytes) else value


def _enum_name(field: FieldDescriptor, value: int) -> str | int:
    """The number of one that only a newer server knows."""
    known = field.enum_type.values_by_number.get(value) if field.enum_type else None
    return known.name if known else value


def _text(value: Any, indent: int | None, depth: int) -> str:
    match value:
        case dict():
            colon = ":" if indent is None else ": "
            members = [
                f"{_string(key)}{colon}{_text(member, indent, depth + 1)}"
                for key, member in value.items()
            ]
            return _block("{", members, "}", indent, depth)
        case list():
            items = [_text(item, indent, depth + 1) for item in value]
            return _block("[", items, "]", indent, depth)
        case str():
            return _string(value)
        case float():
            return _double(value)
        case _:
            return json.dumps(value)


def _block(opening: str, parts: list[str], closing: str, indent: int | None, depth: int) -> str:
    if indent is None or not parts:
        return opening + ",".join(parts) + closing
    inner = "\n" + " " * (indent * (depth + 1))
    return f"{opening}{inner}{f',{inner}'.join(parts)}\n{' ' * (indent * depth)}{closing}"


def _string(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED_BY_GO.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _double(value: float) -> str:
    if not isfinite(value):
        return json.dumps(str(value).replace("inf", "Infinity").replace("nan", "NaN"))
    digits = Decimal(repr(float(value))).normalize()
    smallest, largest = _PLAIN_IN_FIELD if isinstance(value, _Double) else _PLAIN_IN_VALUE
    if value == 0 or smallest <= abs(value) < largest:
        return f"{digits:f}"
    mantissa, _, exponent = f"{digits:e}".partition("e")
    width = 2 if isinstance(value, _Double) else 1
    return f"{mantissa}e{exponent[0]}{exponent[1:].zfill(width)}"
