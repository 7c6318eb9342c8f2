"""A built-in exception, after the way through a task's error."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskline_client._builtin_errors import original
from taskline_client.types import ErrorType, TaskError
from taskline_service.execution.failures import error_from


def raised_again(error: BaseException) -> Exception | None:
    told = error_from(error)
    return original(
        TaskError(
            error_type=ErrorType.RUNTIME,
            message=told.message,
            exception_class=told.exception_class,
        )
    )


def raised_by(call: Callable[[], Any]) -> Exception:
    try:
        call()
    except Exception as error:  # the point
        return error
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("miss"),
        KeyError(("a", 1)),
        KeyError(),
        ValueError("number 7"),
        ValueError(),
        TimeoutError(),
        ConnectionError("the line is busy"),
        OSError(9, "Bad file descriptor"),
        raised_by(lambda: dict[str, str]()["it's"]),
        raised_by(lambda: list[int]().pop()),
        raised_by(lambda: 1 / 0),
        raised_by(lambda: int("x")),
        raised_by(lambda: Path("/nowhere/it's").read_text()),
        raised_by(lambda: os.rename("/nowhere/a", "/nowhere/b")),
    ],
    ids=repr,
)
def test_d30_it_has_the_same_text_and_the_same_arguments(error: Exception) -> None:
    again = raised_again(error)

    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)
    for name in ("errno", "strerror", "filename", "filename2"):
        assert getattr(again, name, None) == getattr(error, name, None)


def test_of_a_key_that_cannot_be_known_the_text_is_the_same() -> None:
    error = KeyError(object())

    assert str(raised_again(error)) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        raised_by(lambda: b"\xff".decode("ascii")),
        ExceptionGroup("two", [ValueError()]),
        StopIteration(1),
        SystemExit("no"),
    ],
    ids=repr,
)
def test_what_cannot_be_made_of_its_text_is_not_raised_again(error: BaseException) -> None:
    assert raised_again(error) is None
