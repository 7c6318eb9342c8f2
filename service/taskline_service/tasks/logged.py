"""What of a task's arguments may be logged: what is marked, and nothing else."""

import dataclasses
import reprlib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence, Set, Sized
from functools import lru_cache
from inspect import Parameter
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import is_typeddict

_HIDDEN = "..."
LONGEST_CALL = 300
_LONGEST_TEXT = 60
_MOST_ITEMS = 6

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = _LONGEST_TEXT
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = _MOST_ITEMS
_short.maxdict = _MOST_ITEMS
_short.maxlevel = 3


class Logged:
    """Marks what may appear in logs: `Annotated[str, Logged]`.

    For the parameters of a task, and for the fields of a model or dataclass that it takes.
    """

    def __init__(self, *, length_only: bool = False) -> None:
        """`length_only`: of a text or a collection, no more than how long it is."""
        self.length_only = length_only

    def __repr__(self) -> str:
        return f"Logged(length_only={self.length_only})"

    def shown(self, value: object) -> str:
        """A value as it is logged, shortened."""
        if not self.length_only:
            return _short.repr(value)
        if isinstance(value, Mapping | Set):
            return f"{{len {len(value)}}}"
        return f"[len {len(value)}]" if isinstance(value, Sized) else _HIDDEN


# The name that it is imported by.
Logged.__module__ = __name__.partition(".")[0]

_MARK = Logged()


class LoggedCall:
    """Says how a function was called, as far as that may be logged."""

    def __init__(
        self, function: Callable[..., Any], inputs: Sequence[Parameter], hints: Mapping[str, Any]
    ) -> None:
        """`inputs` are the parameters that take something of the input."""
        self._name = getattr(function, "__name__", type(function).__name__)
        self._shown = {p.name: hints.get(p.name, Any) for p in inputs if not _is_rest(p)}
        first = next(iter(inputs), None)
        self._bare = first.name if first and first.kind is not Parameter.KEYWORD_ONLY else None

    @property
    def unknown(self) -> str:
        """A call whose arguments are not known."""
        return f"{self._name}({_HIDDEN})"

    def text(self, arguments: Mapping[str, Any]) -> str:
        """As in `process_payment('12345', credit_card=..., amount=150.0)`."""
        parts = [
            value if name == self._bare else f"{name}={value}"
            for name, value in self._values(arguments)
        ]
        if any(name not in self._shown for name in arguments):
            parts.append(f"**{_HIDDEN}")  # their names are data as well
        text = f"{self._name}({', '.join(parts)})"
        return text if len(text) <= LONGEST_CALL else text[: LONGEST_CALL - 1] + "…"

    def _values(self, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for name, hint in self._shown.items():
            if name in arguments:
                yield name, _shown(arguments[name], hint)


def _is_rest(parameter: Parameter) -> bool:
    return parameter.kind is Parameter.VAR_KEYWORD


def _shown(value: Any, hint: Any) -> str:
    """What may be seen of a value."""
    try:
        if (mark := _mark_in(hint)) is not None:
            return mark.shown(value)
        cls = _unwrapped(hint) if isinstance(value, dict) else type(value)
        fields = _fields(cls) if isinstance(cls, type) else {}
        if not any(_shows(field) for field in fields.values()):
            return _HIDDEN
        parts = value if isinstance(value, dict) else vars(value)
        shown = (f"{name}={_shown(parts[name], fields[name])}" for name in fields if name in parts)
        return f"{cls.__name__}({', '.join(shown)})"
    except Exception:  # foreign code: what a value does when it is shown
        return _HIDDEN


def _shows(hint: Any, above: tuple[Any, ...] = ()) -> bool:
    """Whether anything in a value of this type is marked."""
    if _mark_in(hint) is not None:
        return True
    cls = _unwrapped(hint)
    if not isinstance(cls, type) or cls in above:
        return False
    return any(_shows(field, (*above, cls)) for field in _fields(cls).values())


def _mark_in(hint: Any) -> Logged | None:
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        return _mark_among(metadata) or _mark_in(inner)
    if get_origin(hint) in (Union, types.UnionType, NotRequired, Required):
        return next(filter(None, map(_mark_in, get_args(hint))), None)
    return None


def _mark_among(metadata: Sequence[Any]) -> Logged | None:
    marks = (_MARK if part is Logged else part for part in metadata)
    return next((mark for mark in marks if isinstance(mark, Logged)), None)


def _unwrapped(hint: Any) -> Any:
    """The class of a hint: of an optional one, that which is not None."""
    origin = get_origin(hint)
    if origin in (Annotated, NotRequired, Required):
        return _unwrapped(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return next((_unwrapped(p) for p in get_args(hint) if p is not types.NoneType), None)
    return origin or hint


@lru_cache(maxsize=1024)
def _fields(cls: type) -> Mapping[str, Any]:
    """The fields of a model, a dataclass or a TypedDict with their hints; of others, none."""
    if issubclass(cls, BaseModel):
        return {
            name: Annotated[(field.annotation, *field.metadata)]
            if field.metadata
            else field.annotation
            for name, field in cls.model_fields.items()
        }
    if not dataclasses.is_dataclass(cls) and not is_typeddict(cls):
        return {}
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError:  # what cannot be resolved cannot be seen
        return {}
    if dataclasses.is_dataclass(cls):
        return {field.name: hints.get(field.name) for field in dataclasses.fields(cls)}
    return hints
