"""From JSON values to declared types, with the standard library alone.

Takes what pydantic takes of the types it knows, and is as forgiving: members that a type
does not have are passed over, for a newer service may send more.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin
from uuid import UUID

# Takes a JSON value and its path; raises Misfit.
Reader = Callable[[Any, str], Any]

_AS_TEXT: Mapping[Any, Callable[[str], Any]] = {
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    UUID: UUID,
    Decimal: Decimal,
    Path: Path,
    PurePath: PurePath,
}
_ARRAYS: Mapping[Any, Callable[[Any], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    Sequence: list,
}


class Misfit(ValueError):
    """A value is not of the declared type."""


def reader_of(hint: Any) -> Reader:
    """What reads values of a type.

    Raises:
        TypeError: It takes pydantic to read such a type.
    """
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in (Annotated, Required, NotRequired):
        return reader_of(arguments[0])
    reader = _of_generic(origin, arguments) or (None if arguments else _of_class(hint))
    if reader is None:
        raise TypeError(f"{hint}: only pydantic can read this type, if it is installed")
    return reader


def _of_generic(origin: Any, arguments: tuple[Any, ...]) -> Reader | None:
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Literal:
        return _literal(arguments)
    if origin is tuple and arguments:
        return _tuple(arguments)
    if origin in _ARRAYS:
        return _array(_ARRAYS[origin], *arguments)
    if origin in (dict, Mapping) and arguments[:1] in ((str,), ()):
        return _object(*arguments[1:])
    return None


def _of_class(hint: Any) -> Reader | None:
    if hint in _AS_TEXT:
        return _text(hint, _AS_TEXT[hint])
    if hasattr(hint, "__required_keys__"):  # also a TypedDict of typing_extensions
        return _typed_dict(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint)
    return _SIMPLE.get(hint)


def _misfit(value: Any, wanted: Any, path: str) -> Any:
    name = wanted if isinstance(wanted, str) else getattr(wanted, "__name__", wanted)
    raise Misfit(f"{path}: must be {name}, not {type(value).__name__}")


def _number(value: Any, path: str) -> float:
    return float(value) if type(value) in (int, float) else _misfit(value, float, path)


def _text(hint: Any, parse: Callable[[str], Any]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if type(value) is not str:
            return _misfit(value, hint, path)
        try:
            return parse(value)
        except (ValueError, ArithmeticError):
            # Not chained, here and below: what they say contains the value.
            raise Misfit(f"{path}: is no {hint.__name__}") from None

    return read


def _literal(allowed: tuple[Any, ...]) -> Reader:
    def read(value: Any, path: str) -> Any:
        for each in allowed:
            plain = each.value if isinstance(each, Enum) else each
            if plain == value and type(plain) is type(value):
                return each
        return _misfit(value, "one of " + ", ".join(map(repr, allowed)), path)

    return read


def _enum(kind: type[Enum]) -> Reader:
    def read(value: Any, path: str) -> Any:
        try:
            return kind(value)
        except ValueError:
            raise Misfit(f"{path}: is no {kind.__name__}") from None

    return read


def _union(choices: tuple[Any, ...]) -> Reader:
    readers = [reader_of(choice) for choice in choices]

    def read(value: Any, path: str) -> Any:
        misfits = []
        for reader in readers:
            try:
                return reader(value, path)
            except Misfit as misfit:
                misfits.append(str(misfit))
        raise Misfit("; or ".join(dict.fromkeys(misfits)))

    return read


def _array(make: Callable[[Any], Any], item: Any = Any) -> Reader:
    reader = reader_of(item)

    def read(value: Any, path: str) -> Any:
        if type(value) is not list:
            return _misfit(value, "an array", path)
        return make([reader(each, f"{path}[{index}]") for index, each in enumerate(value)])

    return read


def _tuple(items: tuple[Any, ...]) -> Reader:
    if items[1:] == (...,):
        return _array(tuple, items[0])
    readers = [reader_of(item) for item in items]

    def read(value: Any, path: str) -> Any:
        if type(value) is not list or len(value) != len(readers):
            return _misfit(value, f"an array of {len(readers)}", path)
        pairs = zip(readers, value, strict=True)
        return tuple(reader(each, f"{path}[{n}]") for n, (reader, each) in enumerate(pairs))

    return read


def _object(item: Any = Any) -> Reader:
    reader = reader_of(item)

    def read(value: Any, path: str) -> Any:
        if type(value) is not dict:
            return _misfit(value, "an object", path)
        return {name: reader(each, f"{path}.{name}") for name, each in value.items()}

    return read


def _typed_dict(kind: Any) -> Reader:
    return _members(kind, dict, kind.__required_keys__)


def _dataclass(kind: Any) -> Reader:
    fields = [field for field in dataclasses.fields(kind) if field.init]
    required = {
        each.name
        for each in fields
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    }
    return _members(kind, lambda members: kind(**members), required, {each.name for each in fields})


def _members(
    kind: Any,
    make: Callable[[dict[str, Any]], Any],
    required: AbstractSet[str],
    known: AbstractSet[str] | None = None,
) -> Reader:
    readers: dict[str, Reader] = {}

    def read(value: Any, path: str) -> Any:
        if not readers:  # late: a type may have members of its own type
            hints = typing.get_type_hints(kind, include_extras=True)
            readers.update(
                {
                    name: reader_of(hint)
                    for name, hint in hints.items()
                    if not known or name in known
                }
            )
        if type(value) is not dict:
            return _misfit(value, f"an object ({kind.__name__})", path)
        if missing := sorted(required - value.keys()):
            raise Misfit(f"{path}.{missing[0]}: is missing")
        members = {
            name: reader(value[name], f"{path}.{name}")
            for name, reader in readers.items()
            if name in value
        }
        return make(members)

    return read


def _exactly(kind: type) -> Reader:
    return lambda value, path: value if type(value) is kind else _misfit(value, kind, path)


_SIMPLE: Mapping[Any, Reader] = {
    Any: lambda value, _path: value,
    object: lambda value, _path: value,
    None: _literal((None,)),
    type(None): _literal((None,)),
    float: _number,
    **{kind: _exactly(kind) for kind in (bool, int, str)},
}
