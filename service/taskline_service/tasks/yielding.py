"""Functions that yield: what they emit while they run, and what they return. Pure."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

_RETURN_ARGUMENT = 2


def emits(function: Callable[..., Any]) -> bool:
    """Whether each value that the function yields is an output of its task."""
    return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)


def emitted_and_returned(function: Callable[..., Any], hint: Any) -> tuple[Any, Any]:
    """The types of what a function that yields emits and returns, from its return annotation.

    `AsyncIterator[T]`, `Iterator[T]` and their kin emit T; `Generator[T, None, R]` returns R.
    What is not said is Any; an asynchronous generator always returns None.
    """
    arguments = typing.get_args(hint)
    emitted = arguments[0] if arguments else Any
    if inspect.isasyncgenfunction(function):
        return emitted, type(None)
    if len(arguments) > _RETURN_ARGUMENT:
        return emitted, arguments[_RETURN_ARGUMENT]
    return emitted, Any if hint is Any else type(None)
