"""Writes docs/reference.md: every call, message and enum of the contract, with its comments.

The comments come from the descriptors that lie beside the stubs, as reflection serves them.

    python -m tools.reference            writes the page
    python -m tools.reference --check    exits with 1 if it is not what the contract says
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference.md"
DESCRIPTORS = ROOT / "protos" / "taskline" / "v1" / "descriptors.binpb"

# In the order in which a newcomer meets them.
_FILES = ("task_service", "task", "admin_service")
_OWN_PACKAGE = ".taskline.v1."

_INTRODUCTION = """\
# Reference

<!-- Made from the comments of protos/taskline/v1 by `make reference`. -->

Every call of the contract `taskline.v1`, its messages and its enums. The same comments are served
by reflection: `grpcurl -plaintext HOST:PORT describe taskline.v1.TaskService.Enqueue`.
"""

# Numbers of fields of FileDescriptorProto and what it holds: comments are found by them.
_FILE_MESSAGES, _FILE_ENUMS, _FILE_SERVICES = 4, 5, 6
_MESSAGE_FIELDS, _MESSAGE_NESTED, _MESSAGE_ENUMS, _MESSAGE_ONEOFS = 2, 3, 4, 8
_SERVICE_METHODS = _ENUM_VALUES = 2

_Path = tuple[int, ...]


def reference() -> str:
    """The page."""
    described = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    files = {Path(file.name).stem: file for file in described.file}
    own = [_File(files[name]) for name in _FILES]
    lines = [_INTRODUCTION]
    for file in own:
        lines += file.services()
    for file in own:
        lines += file.messages_and_enums()
    return "\n".join(lines).rstrip() + "\n"


class _File:
    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments = {
            tuple(location.path): location.leading_comments or location.trailing_comments
            for location in file.source_code_info.location
        }

    def services(self) -> Iterator[str]:
        for number, service in enumerate(self._file.service):
            yield from self._service(service, (_FILE_SERVICES, number))

    def messages_and_enums(self) -> Iterator[str]:
        for number, message in enumerate(self._file.message_type):
            yield from self._message(message, (_FILE_MESSAGES, number), prefix="")
        for number, enum in enumerate(self._file.enum_type):
            yield from self._enum(enum, (_FILE_ENUMS, number), prefix="")

    def _service(self, service: ServiceDescriptorProto, path: _Path) -> Iterator[str]:
        yield f"## {service.name}\n"
        yield from self._text(path)
        for number, method in enumerate(service.method):
            yield f"### {service.name}.{method.name}\n"
            yield f"{_call(method)}\n"
            yield from self._text((*path, _SERVICE_METHODS, number))

    def _message(self, message: DescriptorProto, path: _Path, *, prefix: str) -> Iterator[str]:
        if message.options.map_entry:
            return
        name = prefix + message.name
        yield f"## {name}\n"
        yield from self._text(path)
        maps = {entry.name: entry for entry in message.nested_type if entry.options.map_entry}
        for number, field in enumerate(message.field):
            comment = self._set_in((*path, _MESSAGE_FIELDS, number))
            yield f"- **{field.name}** {_type(field, maps)}{_oneof(message, field)}{comment}"
        if message.field:
            yield ""
        for number, oneof in enumerate(message.oneof_decl):
            if lines := self._comment((*path, _MESSAGE_ONEOFS, number)):
                yield f"One of `{oneof.name}`: {' '.join(lines)}\n"
        for number, nested in enumerate(message.nested_type):
            yield from self._message(nested, (*path, _MESSAGE_NESTED, number), prefix=f"{name}.")
        for number, enum in enumerate(message.enum_type):
            yield from self._enum(enum, (*path, _MESSAGE_ENUMS, number), prefix=f"{name}.")

    def _enum(self, enum: EnumDescriptorProto, path: _Path, *, prefix: str) -> Iterator[str]:
        yield f"## {prefix}{enum.name}\n"
        yield from self._text(path)
        for number, value in enumerate(enum.value):
            comment = self._set_in((*path, _ENUM_VALUES, number))
            yield f"- **{value.name}** = {value.number}{comment}"
        yield ""

    def _comment(self, path: _Path) -> list[str]:
        return [line.strip() for line in self._comments.get(path, "").strip().splitlines()]

    def _text(self, path: _Path) -> Iterator[str]:
        if comment := self._comment(path):
            yield "\n".join(comment) + "\n"

    def _set_in(self, path: _Path) -> str:
        """As a further line of a list's item."""
        lines = ["\\", *(f"  {line}".rstrip() for line in self._comment(path))]
        return "\n".join(lines) if lines[1:] else ""


def _call(method: MethodDescriptorProto) -> str:
    request, answer = _link(method.input_type), _link(method.output_type)
    requests = "stream of " if method.client_streaming else ""
    answers = "stream of " if method.server_streaming else ""
    return f"{requests}{request} → {answers}{answer}"


def _link(full_name: str) -> str:
    """To the heading of a message or an enum of ours; the name of any other."""
    if not full_name.startswith(_OWN_PACKAGE):
        return f"`{full_name.lstrip('.')}`"
    name = full_name.removeprefix(_OWN_PACKAGE)
    return f"[{name}](#{name.lower().replace('.', '')})"


def _type(field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
    entry = maps.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = (_type(part, {}) for part in entry.field)
        return f"map of {key} to {value}"
    scalar = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    name = _link(field.type_name) if field.type_name else f"`{scalar}`"
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    return f"repeated {name}" if repeated else name


def _oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    if field.proto3_optional:
        return ", optional"
    if field.HasField("oneof_index"):
        return f", one of `{message.oneof_decl[field.oneof_index].name}`"
    return ""


def main(arguments: Iterable[str]) -> int:
    """Write the page, or check it; returns the exit code."""
    right = reference()
    if "--check" not in arguments:
        PAGE.write_text(right, "utf-8")
    elif PAGE.read_text("utf-8") != right:
        print(f"{PAGE.name} is not what the contract says: make reference", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
