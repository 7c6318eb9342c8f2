"""Python's built-in exceptions, made again of what a task's error tells of them. Pure."""

import ast
import builtins
import re
from collections.abc import Iterator
from typing import Any

from taskline_client.types import TaskError

# Raised by what waits for a result, these two would mean something else.
_OF_ITERATORS = (StopIteration, StopAsyncIteration)
# As OSError writes itself: "[Errno 2] No such file or directory: 'a' -> 'b'".
_OF_THE_SYSTEM = re.compile(r"\[Errno (-?\d+)\] (.*?)(?:: ('.*'|\".*\"|b'.*'|-?\d+))?", re.DOTALL)


def original(error: TaskError) -> Exception | None:
    """The built-in exception that the task raised, with the same text; None if it was another.

    One that says itself by its arguments gets them back: the key of a KeyError, the number,
    text and file names of an OSError.
    """
    module, _, name = error.exception_class.rpartition(".")
    kind = getattr(builtins, name, None) if module == "builtins" else None
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return None
    if issubclass(kind, _OF_ITERATORS):
        return None
    for args in _possible_arguments(kind, error.message):
        try:
            made = kind(*args)
        except TypeError:  # such as UnicodeDecodeError: it takes more than can be known
            continue
        if type(made) is kind and (str(made) or name) == error.message:
            return made
    return None


def _possible_arguments(kind: type[Exception], message: str) -> Iterator[tuple[Any, ...]]:
    """The likeliest first."""
    if message == kind.__name__:  # in place of no text at all
        yield ()
    if issubclass(kind, KeyError):  # its text is the `repr` of the key
        yield from _literals(message)
        yield (_Verbatim(message),)
    if issubclass(kind, OSError) and (parts := _OF_THE_SYSTEM.fullmatch(message)):
        number, text, names = int(parts[1]), parts[2], parts[3]
        if names is None:
            yield number, text
        else:
            yield from ((number, text, *name) for name in _literals(names))
            first, arrow, second = names.partition(" -> ")
            if arrow:
                both = zip(_literals(first), _literals(second), strict=False)
                yield from ((number, text, one, None, two) for (one,), (two,) in both)
    yield (message,)


def _literals(text: str) -> Iterator[tuple[Any]]:
    try:
        yield (ast.literal_eval(text),)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return


class _Verbatim(str):
    """The key of a KeyError of which only its `repr` is known."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
