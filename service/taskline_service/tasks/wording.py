"""Says in words what JSON Schema found wrong, without ever repeating the value."""

import difflib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema_rs import ValidationError

from taskline_service.tasks.paths import Path, located
from taskline_service.tasks.published import JsonSchema

_TYPES = {
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_MAX_CHOICES = 20


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a value."""

    path: Path
    description: str


def faults_of(error: ValidationError, schema: JsonSchema, value: Any) -> Iterator[Fault]:
    """One fault for each field of `value` that the error is about."""
    path = located(value, error.instance_path, error.instance)
    kind: Any = error.kind
    match kind.name:
        case "required":
            yield Fault((*path, kind.property), "required")
        case "additionalProperties" | "unevaluatedProperties":
            known = _known_members(schema, error.schema_path)
            for name in sorted(kind.unexpected):
                yield Fault((*path, name), _unknown(name, known))
        case "anyOf" | "oneOf" if getattr(kind, "context", None):
            yield from _faults_of_union(error, schema, value)
        case _:
            yield Fault(path, _describe(kind))


def _faults_of_union(error: ValidationError, schema: JsonSchema, value: Any) -> Iterator[Fault]:
    """Only those of the alternative that was most likely meant."""
    here = error.instance_path
    context: list[list[ValidationError]] = getattr(error.kind, "context", [])
    branches = [branch for branch in context if branch]
    near = [b for b in branches if not any(_is_type_error_at(e, here) for e in b)]
    if not near:
        types = [name for branch in branches for e in branch for name in _expected_types(e, here)]
        yield Fault(located(value, here, error.instance), _must_be(types))
        return
    # A wrong constant is a wrong discriminator: that alternative was not meant.
    best = min(near, key=lambda b: (any(e.kind.name == "const" for e in b), len(b)))
    for inner in best:
        yield from faults_of(inner, schema, value)


def _is_type_error_at(error: ValidationError, place: list[str | int]) -> bool:
    return error.kind.name == "type" and error.instance_path == place


def _expected_types(error: ValidationError, place: list[str | int]) -> list[str]:
    kind: Any = error.kind
    return list(kind.types) if _is_type_error_at(error, place) else []


def _must_be(types: list[str]) -> str:
    return "must be " + " or ".join(text for name, text in _TYPES.items() if name in types)


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name[:64], known, n=1)
    return f'unknown field; did you mean "{close[0]}"?' if close else "unknown field"


def _known_members(schema: JsonSchema, path: list[str | int]) -> list[str]:
    node: Any = schema
    for part in path[:-1]:
        # A property whose name is digits is reported as a position.
        key = part if isinstance(node, list) else str(part)
        try:
            node = node[key]
        except LookupError:
            return []  # only the hint is lost
    return list(node.get("properties", ())) if isinstance(node, dict) else []


def _choices(options: list[Any]) -> str:
    shown = ", ".join(json.dumps(option, ensure_ascii=False) for option in options[:_MAX_CHOICES])
    return f"must be one of {shown}" + (", …" if len(options) > _MAX_CHOICES else "")


_WORDS: dict[str, Callable[[Any], str]] = {
    "type": lambda kind: _must_be(list(kind.types)),
    "enum": lambda kind: _choices(kind.options),
    "const": lambda kind: f"must be {json.dumps(kind.expected_value, ensure_ascii=False)}",
    "minimum": lambda kind: f"must be at least {kind.limit}",
    "maximum": lambda kind: f"must be at most {kind.limit}",
    "exclusiveMinimum": lambda kind: f"must be greater than {kind.limit}",
    "exclusiveMaximum": lambda kind: f"must be less than {kind.limit}",
    "multipleOf": lambda kind: f"must be a multiple of {kind.multiple_of}",
    "minLength": lambda kind: f"must have at least {kind.limit} characters",
    "maxLength": lambda kind: f"must have at most {kind.limit} characters",
    "minItems": lambda kind: f"must have at least {kind.limit} items",
    "maxItems": lambda kind: f"must have at most {kind.limit} items",
    "minProperties": lambda kind: f"must have at least {kind.limit} members",
    "maxProperties": lambda kind: f"must have at most {kind.limit} members",
    "uniqueItems": lambda kind: "must not have the same item twice",
    "pattern": lambda kind: f"must match the pattern {kind.pattern}",
    "format": lambda kind: f"must be a valid {kind.format}",
    "propertyNames": lambda kind: f"a member's name {_describe(kind.error.kind)}",
    "oneOf": lambda kind: "fits more than one of the alternatives",
}


def _describe(kind: Any) -> str:
    words = _WORDS.get(kind.name)
    return words(kind) if words else f"does not fit the schema ({kind.name})"
