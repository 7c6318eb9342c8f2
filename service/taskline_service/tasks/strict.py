"""Pydantic's serializers, made to refuse what they would change in silence.

Left alone they write dates, decimals, UUIDs and bytes as text, sets as lists, keys that
are not strings as strings and NaN as null wherever a type says Any; and drop a
TypedDict's extra members. A declared type still decides how its own values are written.
"""

import dataclasses
import marshal
from collections.abc import Callable
from enum import Enum
from functools import lru_cache, partial
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaSerializer, to_json
from pydantic_core.core_schema import CoreConfig

from taskline_service.limits import MAX_JSON_DEPTH

# Not ours to look into: values and functions, not schemas.
_OPAQUE = {"metadata", "default", "expected", "members", "cls", "config", "function"}
_CONFIG: CoreConfig = {"ser_json_inf_nan": "constants"}  # so that NaN can be told from null


def strict_writer(hint: Any) -> Callable[[Any], bytes]:
    """What writes values of this type as JSON, or fails."""
    if hint is Any:
        return _write_exactly
    return partial(_serializer(hint, _exactly).to_json, warnings="error")


def refused_parts(hint: Any, value: Any) -> list[Any]:
    """The parts of no declared type that JSON does not have as they are. Slow."""
    refused: list[Any] = []

    def note(part: Any) -> Any:
        try:
            return _exactly(part)
        except Exception:  # whatever a type's own code may raise
            refused.append(part)
            return None

    try:
        _serializer(hint, note).to_json(value, warnings=False)
    except Exception:  # a declared part does not fit; what was noted until then is true
        return refused
    return refused


def declares_its_parts(value: Any) -> bool:
    """Whether its own type decides how it is written, wherever it is."""
    cls: type = type(value)
    return issubclass(cls, BaseModel) or dataclasses.is_dataclass(cls)


def _serializer(hint: Any, exactly: Callable[[Any], Any]) -> SchemaSerializer:
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    schema: Any = _strict(adapter.core_schema, exactly)
    # A model's own serializer would be used for it otherwise, not this schema.
    return SchemaSerializer(schema, _CONFIG, _use_prebuilt=False)


def _strict(node: Any, exactly: Callable[[Any], Any]) -> Any:
    if isinstance(node, dict):
        return _strict_schema(node, exactly)
    if isinstance(node, (list, tuple)):
        return type(node)(_strict(item, exactly) for item in node)
    return node


def _strict_schema(node: dict[str, Any], exactly: Callable[[Any], Any]) -> dict[str, Any]:
    if _is_undeclared(node):
        return {
            "type": "any",
            "serialization": {
                "type": "function-plain",
                "function": exactly,
                "return_schema": {"type": "any"},
                "when_used": "json",
            },
        }
    schema = {key: part if key in _OPAQUE else _strict(part, exactly) for key, part in node.items()}
    if "config" in node:
        schema["config"] = {**node["config"], **_CONFIG}
    if node.get("type") == "typed-dict":
        schema["extra_behavior"] = "allow"  # written, so that the schema can refuse it
    if node.get("type") == "dict" and _is_undeclared(node.get("keys_schema", {})):
        schema["keys_schema"] = {"type": "str"}
    return schema


def _is_undeclared(node: dict[str, Any]) -> bool:
    return node.get("type") == "any" and "serialization" not in node


def _write_exactly(value: Any) -> bytes:
    return to_json(_exactly(value), inf_nan_mode="constants")


def _exactly(value: Any) -> Any:
    """The value itself, if JSON can hold it as it is."""
    if not _is_plain(value):
        _check_parts(value, ())
    return value


def _is_plain(value: Any) -> bool:
    """Whether it is made of the built-in types that JSON has; decided quickly."""
    try:
        orjson.dumps(value)  # refuses bytes, sets and keys that are not strings ...
        marshal.dumps(value)  # ... and this what is not built in, as dates, UUIDs and enums
    except (TypeError, ValueError):
        return False
    return True


def _check_parts(value: Any, above: tuple[Any, ...]) -> None:
    if value is None or isinstance(value, (str, int, float)):
        return
    if declares_its_parts(value):
        cls: type = type(value)
        _writer_of(cls)(value)
        return
    if isinstance(value, Enum):
        _check_parts(value.value, above)
        return
    if not isinstance(value, (dict, list, tuple)) or any(value is each for each in above):
        raise TypeError
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise TypeError
    above = (*above, value)
    if len(above) > MAX_JSON_DEPTH:
        raise TypeError
    for part in value.values() if isinstance(value, dict) else value:
        _check_parts(part, above)


@lru_cache(maxsize=1024)
def _writer_of(cls: type) -> Callable[[Any], bytes]:
    return strict_writer(cls)
