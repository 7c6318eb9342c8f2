"""From the JSON Schemas that a service publishes to a typed Python module. Pure.

Models are TypedDicts: JSON as it is, with any names, and members that may be left out. What a
schema says beyond types is left to the service, which checks every input; what cannot be said
by types is Any.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from taskline_client._stub_names import Names, is_field, plain_class
from taskline_client.deployment import TaskTypeInfo

Schema = Mapping[str, Any]

_HEADER = '''\
"""Task types of a Taskline service, as it publishes them.

Written by `taskline stubs`: to change it, write it anew.
"""

{imports}
from taskline_client import TaskType

__all__ = [
{names}
]
'''
_TYPING = ("Any", "Literal", "NotRequired", "TypedDict", "Union")
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_DEFINITIONS = "#/$defs/"
_LONGEST_COMMENT = 88


def module_of(task_types: Iterable[TaskTypeInfo]) -> str:
    """The source of a module that declares these task types; the same for the same types."""
    infos = sorted(task_types, key=lambda info: info.name)
    models, _ = _written_with(Names(), infos)  # to know who asks for which name
    models, declarations = _written_with(Names(asked=models.names), infos)
    exported = sorted([*models.exported, *(name for name, _ in declarations)])
    body = [*models.sources, *(source for _, source in declarations)]
    used = [name for name in _TYPING if re.search(rf"\b{name}\b", "".join(body))]
    header = _HEADER.replace(
        "{imports}", f"from typing import {', '.join(used)}\n" if used else ""
    ).replace("{names}", "\n".join(f'    "{name}",' for name in exported))
    return "\n\n".join(part.rstrip() + "\n" for part in [header, *body])


def _written_with(
    names: Names, infos: Iterable[TaskTypeInfo]
) -> "tuple[_Models, list[tuple[str, str]]]":
    models = _Models(names)
    return models, [_declaration(info, models) for info in infos]


def _declaration(info: TaskTypeInfo, models: "_Models") -> tuple[str, str]:
    name = models.names.of_constant(info.name)
    taken = _input_type(info, models)
    given = models.type_of_root(info.output_schema, f"{info.name} result", info.name)
    source = f"{name} = TaskType[{taken}, {given}]({_literal(info.name)})\n"
    return name, source + (f"{_docstring(info.description)}\n" if info.description else "")


def _input_type(info: TaskTypeInfo, models: "_Models") -> str:
    schema = info.input_schema
    if schema is not None and _takes_nothing(schema):
        return "None"
    kind = models.type_of_root(schema, f"{info.name} input", info.name)
    # To the client, None is no input, and not null.
    return "Any" if kind in ("None", "Literal[None]") else kind


def _takes_nothing(schema: Schema) -> bool:
    """Whether only an empty object fits."""
    plain = schema.get("type") == "object" and schema.get("additionalProperties") is False
    more = {"properties", "patternProperties", "$ref", "anyOf", "oneOf", "allOf", "const", "enum"}
    return plain and not any(schema.get(key) for key in more)


class _Models:
    """The models of all schemas, each once, those that others are made of before them."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.exported: list[str] = []
        self.sources: list[str] = []
        # Names of models by what they are and ask to be called, so that equal ones are one.
        self.known: dict[tuple[str, str], str] = {}

    def type_of_root(self, schema: Schema | None, suggested: str, task_type: str) -> str:
        """The type of a whole schema; None is anything."""
        if schema is None:
            return "Any"
        # A title is the name of a model, but for that of a function's arguments.
        title = schema.get("title")
        named = title if isinstance(title, str) and title != task_type else suggested
        return _Document(schema, self).type_of(schema, named)


class _Document:
    """One schema with its definitions."""

    def __init__(self, root: Schema, models: _Models) -> None:
        definitions = root.get("$defs")
        self._definitions = definitions if isinstance(definitions, Mapping) else {}
        self._models = models
        # Names of the definitions that are being written.
        self._open: set[str] = set()

    def type_of(self, schema: Any, suggested: str) -> str:
        """The type of a part of the schema; `suggested` names it if it needs a model."""
        if not isinstance(schema, Mapping):
            return "Any"
        if isinstance(reference := schema.get("$ref"), str):
            return self._referred(reference)
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, Sequence):
            return _literals(values)
        parts = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(parts, Sequence):
            return _union(self.type_of(part, suggested) for part in parts)
        if isinstance(parts := schema.get("allOf"), Sequence) and len(parts) == 1:
            return self.type_of(parts[0], suggested)
        return self._by_type({} if parts else schema, suggested)

    def _by_type(self, schema: Schema, suggested: str) -> str:
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, Sequence) and not isinstance(kind, str):
            return _union(self._by_type({**schema, "type": each}, suggested) for each in kind)
        if kind == "array":
            return self._array(schema, suggested)
        if kind == "object":
            return self._object(schema, suggested)
        return _SCALARS.get(kind, "Any") if isinstance(kind, str) else "Any"

    def _array(self, schema: Schema, suggested: str) -> str:
        items = schema.get("prefixItems")
        if isinstance(items, Sequence):
            if not items or {schema.get("minItems"), schema.get("maxItems")} != {len(items)}:
                return "list[Any]"
            types = [self.type_of(item, f"{suggested} {n}") for n, item in enumerate(items, 1)]
            return f"tuple[{', '.join(types)}]"
        return f"list[{self.type_of(schema.get('items'), f'{suggested} item')}]"

    def _object(self, schema: Schema, suggested: str) -> str:
        members, others = schema.get("properties"), schema.get("additionalProperties")
        if not isinstance(members, Mapping):
            if others is False and "patternProperties" not in schema:
                members = {}
            else:
                return f"dict[str, {self.type_of(others, f'{suggested} value')}]"
        elif isinstance(others, Mapping) or "patternProperties" in schema:
            return "dict[str, Any]"  # a TypedDict has no others but its own
        key = identity, _ = self._identity(schema), plain_class(suggested)
        if key not in self._models.known:
            name = self._models.names.of_class(suggested, identity)
            self._models.known[key] = name
            source = self._model(name, suggested, schema, members)
            self._models.sources.append(source)
            self._models.exported.append(name)
        return self._models.known[key]

    def _model(self, name: str, suggested: str, schema: Schema, members: Mapping[str, Any]) -> str:
        required = [each for each in schema.get("required", ()) if each in members]
        # An object has no order of its own.
        ordered = [*dict.fromkeys(required), *sorted(set(members).difference(required))]
        fields: list[tuple[str, str, list[str]]] = []
        for member in ordered:
            kind = self.type_of(members[member], f"{suggested} {member}")
            kind = kind if member in required else f"NotRequired[{kind}]"
            fields.append((member, kind, _remarks(members[member])))
        return _written(name, fields, _text(schema.get("description")))

    def _referred(self, reference: str) -> str:
        name = _name_of(reference)
        if name not in self._definitions:
            return "Any"
        if name in self._open:  # it contains itself
            identity = self._identity(self._definitions[name])
            known = self._models.known.get((identity, plain_class(name)))
            return f'"{known}"' if known else "Any"
        self._open.add(name)
        try:
            return self.type_of(self._definitions[name], name)
        finally:
            self._open.remove(name)

    def _identity(self, schema: Schema) -> str:
        """The same for two models that are the same to their very depths."""
        used: dict[str, Any] = {}
        _collect(schema, self._definitions, used)
        return json.dumps([schema, used], sort_keys=True, default=str)


def _name_of(reference: str) -> str:
    """Of the definition that is referred to; empty if it is something else."""
    prefix, _, name = reference.partition(_DEFINITIONS)
    return "" if prefix else name.replace("~1", "/").replace("~0", "~")


def _collect(schema: Any, definitions: Mapping[str, Any], used: dict[str, Any]) -> None:
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        name = _name_of(reference) if isinstance(reference, str) else ""
        if name in definitions and name not in used:
            used[name] = definitions[name]
            _collect(definitions[name], definitions, used)
        for key, part in schema.items():
            if key != "$defs":
                _collect(part, definitions, used)
    elif isinstance(schema, list):
        for part in schema:
            _collect(part, definitions, used)


def _written(name: str, fields: Sequence[tuple[str, str, list[str]]], description: str) -> str:
    """A TypedDict: a class, or by a call if there are names that no class can have."""
    if all(is_field(member) for member, _, _ in fields):
        lines = [f"class {name}(TypedDict):"]
        lines += [f"    {_docstring(description, indent='    ')}", ""] if description else []
        for member, kind, remarks in fields:
            lines += [f"    # {remark}" for remark in remarks]
            lines.append(f"    {member}: {kind}")
        if len(lines) == 1:
            lines.append("    pass")
        return "\n".join(lines) + "\n"
    lines = [f"{name} = TypedDict(", f'    "{name}",', "    {"]
    for member, kind, remarks in fields:
        lines += [f"        # {remark}" for remark in remarks]
        lines.append(f"        {_literal(member)}: {kind},")
    lines += ["    },", ")"]
    lines += [_docstring(description)] if description else []
    return "\n".join(lines) + "\n"


def _union(types: Iterable[str]) -> str:
    parts = list(dict.fromkeys(types))
    if "Any" in parts or not parts:
        return "Any"
    if len(parts) > 1 and any(part.startswith('"') for part in parts):  # text cannot be or-ed
        return f"Union[{', '.join(parts)}]"
    return " | ".join(parts)


def _literals(values: Sequence[Any]) -> str:
    values = [_whole(value) for value in values]
    if not values or not all(value is None or isinstance(value, str | int) for value in values):
        return "Any"
    return f"Literal[{', '.join(dict.fromkeys(_literal(value) for value in values))}]"


def _whole(value: Any) -> Any:
    """JSON makes no difference between 1 and 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _literal(value: str | int | None) -> str:
    """Python source; of text, nothing but ASCII."""
    if not isinstance(value, str):
        return repr(value)
    text = ascii(value)
    if text.startswith("'") and '"' not in text:
        return f'"{text[1:-1]}"'
    return text


def _remarks(schema: Any) -> list[str]:
    """What comments say of a member: its description, and its default."""
    if not isinstance(schema, Mapping):
        return []
    remarks = [_text(schema.get("description"))]
    if "default" in schema:
        remarks.append(f"Default: {_whole(schema['default'])!a}")
    return [_cut(" ".join(remark.split())) for remark in remarks if remark.strip()]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_COMMENT else text[: _LONGEST_COMMENT - 3] + "..."


def _text(value: Any) -> str:
    """Text for people, without what could end a comment or a line."""
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in value).strip()


def _docstring(text: str, *, indent: str = "") -> str:
    plain = _text(text).replace("\\", "\\\\")
    # Quotes that could be taken for the end.
    plain = re.sub(r'"{2,}|"\Z', lambda quotes: '\\"' * len(quotes[0]), plain)
    lines = [line.rstrip() for line in plain.split("\n")]
    ended = '"""' if len(lines) == 1 else f'\n{indent}"""'
    return (
        '"""' + "\n".join([lines[0], *(f"{indent}{each}".rstrip() for each in lines[1:])]) + ended
    )
