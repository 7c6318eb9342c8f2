"""Calls plain functions, in whichever thread calls this."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from taskline_service.execution.code import Code
from taskline_service.execution.interrupting import Interrupted
from taskline_service.forked import contained


@dataclass(frozen=True, slots=True)
class Raised:
    """What a function raised: on its way from one thread to another it must end nothing."""

    error: BaseException


def call_plain(
    code: Code, function: Callable[[], Any], *, wait_for_room: Callable[[], None]
) -> Any | Raised:
    """Call a plain function; returns what it returns, after emitting what it yields.

    That may have to be awaited still: a plain function around an `async def` one, as a
    decorator makes it.
    """
    try:
        if code.definition.emits:
            return _drain(code, function, wait_for_room)
        return contained(function)
    except Interrupted:
        raise
    except BaseException as error:  # task code may raise anything
        return Raised(error)
    finally:
        code.clock.stop()


def _drain(code: Code, function: Callable[[], Any], wait_for_room: Callable[[], None]) -> Any:
    with closing(function()) as values:
        while True:
            try:
                value = contained(values.__next__)
            except StopIteration as end:
                return end.value
            code.emit(value)
            wait_for_room()
