"""Pydantic's serializers, made to refuse what they would change in silence.

Left alone they write bytes as text, sets as lists, keys that are not strings as
strings and NaN as null wherever a type says Any; and drop a TypedDict's extra
members. A declared type still decides how its own values are written.
"""

import dataclasses
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaSerializer, to_json
from pydantic_core.core_schema import CoreConfig

from taskline_service.tasks.culprit import find_culprit

CHANGED_IN_SILENCE = (bytes, bytearray, memoryview, set, frozenset, deque, complex, Iterator)

# Not ours to look into: values and functions, not schemas.
_OPAQUE = {"metadata", "default", "expected", "members", "cls", "config", "function"}
_CONFIG: CoreConfig = {"ser_json_inf_nan": "constants"}  # so that NaN can be told from null


def strict_serializer(hint: Any) -> SchemaSerializer:
    """What writes values of this type, or fails."""
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    schema: Any = _strict(adapter.core_schema)
    # A model's own serializer would be used for it otherwise, not this schema.
    return SchemaSerializer(schema, _CONFIG, _use_prebuilt=False)


def _strict(node: Any) -> Any:
    if isinstance(node, dict):
        return _strict_schema(node)
    if isinstance(node, (list, tuple)):
        return type(node)(_strict(item) for item in node)
    return node


def _strict_schema(node: dict[str, Any]) -> dict[str, Any]:
    if node.get("type") == "any" and "serialization" not in node:
        return _EXACTLY
    schema = {key: part if key in _OPAQUE else _strict(part) for key, part in node.items()}
    if "config" in node:
        schema["config"] = {**node["config"], **_CONFIG}
    if node.get("type") == "typed-dict":
        schema["extra_behavior"] = "allow"  # written, so that the schema can refuse it
    if node.get("type") == "dict" and schema.get("keys_schema") is _EXACTLY:
        schema["keys_schema"] = {"type": "str"}
    return schema


def _exactly(value: Any) -> Any:
    """The value itself, if JSON can hold it as it is; orjson is quick to tell."""
    try:
        orjson.dumps(value, default=_check_leaf, option=_ORJSON_OPTIONS)
    except TypeError:
        # It refuses integers of more than 64 bits, too, which are welcome.
        if find_culprit(value, "", thorough=True):
            raise
    return value


_ORJSON_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_EXACTLY: dict[str, Any] = {
    "type": "any",
    "serialization": {
        "type": "function-plain",
        "function": _exactly,
        "return_schema": {"type": "any"},
        "when_used": "json",
    },
}


def _check_leaf(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, CHANGED_IN_SILENCE):
        raise TypeError
    cls: type = type(value)
    if issubclass(cls, BaseModel) or dataclasses.is_dataclass(cls):
        _serializer_of(cls).to_json(value, warnings="error")
    else:
        to_json(value)
    return None


@lru_cache(maxsize=1024)
def _serializer_of(cls: type) -> SchemaSerializer:
    return strict_serializer(cls)
