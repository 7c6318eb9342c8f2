"""Results are kept exactly, or refused with the place and the type."""

import dataclasses
import enum
import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple, NotRequired
from uuid import UUID

import pytest
from pydantic import Base64Bytes, BaseModel, JsonValue
from typing_extensions import TypedDict

from taskline_service.tasks import ResultNotSerializable, TaskDefinition, TaskRegistry
from taskline_service.tasks.details import checked_details


class Box(BaseModel):
    x: int
    extra: Any = None
    ratio: float = 1.0


@dataclass
class Size:
    width: int
    extra: Any = None


class Row(TypedDict):
    x: int
    tag: NotRequired[str]


class Color(enum.Enum):
    RED = "red"
    NEVER = datetime(2024, 1, 2)


class Pair(NamedTuple):
    left: Any
    right: Any


class Moment(BaseModel):
    at: datetime
    extra: Any = 0


NOW = datetime(2024, 1, 2)


def returning(hint: Any) -> TaskDefinition:
    def f() -> hint: ...

    tasks = TaskRegistry()
    tasks.task("a")(f)
    return tasks["a"]


def refused(hint: Any, value: Any) -> tuple[str, str]:
    with pytest.raises(ResultNotSerializable) as caught:
        returning(hint).dump_result(value)
    error = caught.value
    assert error.path in str(error) and error.python_type in str(error)
    assert error.__context__ is None  # what pydantic says contains the value
    return error.path, error.python_type


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (None, None, b"null"),
        (Any, None, b"null"),
        (Any, {"a": [1, 1.5, True, "ü", None]}, '{"a":[1,1.5,true,"ü",null]}'.encode()),
        (Any, (1, [2]), b"[1,[2]]"),
        (Any, -0.0, b"-0.0"),
        (Any, 2**64, b"18446744073709551616"),
        (Any, {"": {"": []}}, b'{"":{"":[]}}'),
        (Any, "NaN and Infinity", b'"NaN and Infinity"'),
        (Any, [Box(x=1), Size(2)], b'[{"x":1,"extra":null,"ratio":1.0},{"width":2,"extra":null}]'),
        (Any, [Color.RED, Pair(1, (2,))], b'["red",[1,[2]]]'),
        (
            Any,
            [2**64, Moment(at=NOW)],
            b'[18446744073709551616,{"at":"2024-01-02T00:00:00","extra":0}]',
        ),
        (tuple[datetime, Any], (NOW, 1), b'["2024-01-02T00:00:00",1]'),
        (
            dict[str, list[Moment]],
            {"a": [Moment(at=NOW)]},
            b'{"a":[{"at":"2024-01-02T00:00:00","extra":0}]}',
        ),
        (dict[str, int], {"\ufffd": 1}, '{"\ufffd":1}'.encode()),
        (Box, Box(x=1), b'{"x":1,"extra":null,"ratio":1.0}'),
        (Size, Size(2), b'{"width":2,"extra":null}'),
        (Row, {"x": 1}, b'{"x":1}'),
        (list[Row], [{"x": 1, "tag": "t"}], b'[{"x":1,"tag":"t"}]'),
        (Color, Color.RED, b'"red"'),
        (datetime, datetime(2024, 1, 2), b'"2024-01-02T00:00:00"'),
        (timedelta, timedelta(hours=1), b'"PT1H"'),
        (Decimal, Decimal("1.10"), b'"1.10"'),
        (set[int], {1}, b"[1]"),
        (tuple[int, str], (1, "a"), b'[1,"a"]'),
        (dict[int, int], {1: 2}, b'{"1":2}'),
        (Base64Bytes, b"\xff", b'"/w=="'),
        (int | None, None, b"null"),
        (float, 1, b"1.0"),
        (JsonValue, {"a": [1]}, b'{"a":[1]}'),
        (dict, {"a": {"b": 1}}, b'{"a":{"b":1}}'),
    ],
)
def test_what_fits_is_written(hint: Any, value: Any, text: bytes) -> None:
    assert returning(hint).dump_result(value) == text


@pytest.mark.parametrize(
    ("hint", "value", "path", "python_type"),
    [
        (
            Any,
            {"items": [1, 2, 3, {"handle": io.StringIO()}]},
            "result.items[3].handle",
            "_io.StringIO",
        ),
        (Any, b"text", "result", "bytes"),
        (Any, {"a": [b"\xff"]}, "result.a[0]", "bytes"),
        (Any, {"a": {1}}, "result.a", "set"),
        (Any, frozenset(), "result", "frozenset"),
        (Any, deque([1]), "result", "collections.deque"),
        (Any, (n for n in (1,)), "result", "generator"),
        (Any, [float("nan"), None], "result[0]", "float"),
        (Any, {"a": float("-inf")}, "result.a", "float"),
        (Any, {"a": {1: 2}}, "result.a", "dict"),
        (Any, {"when": NOW}, "result.when", "datetime.datetime"),
        (Any, (Decimal("1.1"),), "result[0]", "decimal.Decimal"),
        (Any, {"a": [UUID(int=1)]}, "result.a[0]", "uuid.UUID"),
        (Any, (1, [UUID(int=1)]), "result[1][0]", "uuid.UUID"),
        (Any, [PurePosixPath("/")], "result[0]", "pathlib.PurePosixPath"),
        (Any, timedelta(1), "result", "datetime.timedelta"),
        (Any, [NOW.date()], "result[0]", "datetime.date"),
        (Any, [NOW.time()], "result[0]", "datetime.time"),
        (Any, {"a": Color.NEVER}, "result.a", f"{__name__}.Color"),
        (object, [NOW], "result[0]", "datetime.datetime"),
        (dict, {"a": {"b": NOW}}, "result.a.b", "datetime.datetime"),
        (dict[str, Any], {"a": UUID(int=1)}, "result.a", "uuid.UUID"),
        (tuple[datetime, Any], (NOW, UUID(int=1)), "result[1]", "uuid.UUID"),
        (Any, [2**64, UUID(int=1)], "result[1]", "uuid.UUID"),
        (Any, [Moment(at=NOW, extra=UUID(int=1))], "result[0].extra", "uuid.UUID"),
        (Moment, Moment(at=NOW, extra=[NOW.date()]), "result.extra[0]", "datetime.date"),
        (Any, "\ud800", "result", "str"),
        (Any, object(), "result", "object"),
        (Any, Size(1, {1}), "result.extra", "set"),
        (Any, Box(x=1, extra=[{"k": b""}]), "result.extra[0].k", "bytes"),
        pytest.param(Any, 10**5000, "result", "int", id="too long an integer"),
        (dict[str, Any], {"a": {"b": {1}}}, "result.a.b", "set"),
        (dict, {1: 2}, "result", "dict"),
        (list, [b"x"], "result[0]", "bytes"),
        (list[Box], [Box(x=1), Box(x=1, extra=b"x")], "result[1].extra", "bytes"),
        (Box, Box(x=1, ratio=float("nan")), "result.ratio", "float"),
        (Box, Box.model_construct(x="one"), "result.x", "str"),
        (Box, {"x": 1}, "result", "dict"),
        (Row, {}, "result", "dict"),
        (Row, {"x": 1, "other": 2}, "result.other", "int"),
        (Row, {"x": "1"}, "result.x", "str"),
        (int, "x", "result", "str"),
        (int, "5", "result", "str"),
        (int, 1.5, "result", "float"),
        (int, None, "result", "NoneType"),
        (bool, 1, "result", "int"),
        (str, 1, "result", "int"),
        (None, 1, "result", "int"),
        (Literal["a"], "b", "result", "str"),
        (list[int], [1, None], "result[1]", "NoneType"),
        (list[int], (1, 2), "result", "tuple"),
        (datetime, "2024-01-01", "result", "str"),
        (float, float("inf"), "result", "float"),
        (dict[str, int], {1: 2}, "result", "dict"),
    ],
)
def test_what_does_not_fit_is_refused_with_place_and_type(
    hint: Any, value: Any, path: str, python_type: str
) -> None:
    assert refused(hint, value) == (path, python_type)


def test_a_value_of_another_type_is_refused_with_the_declared_one() -> None:
    with pytest.raises(ResultNotSerializable, match=r"of type tuple: cannot be .* as list\[int\]"):
        returning(list[int]).dump_result((1, 2))


def test_a_missing_member_is_named() -> None:
    with pytest.raises(ResultNotSerializable, match=r"result of type dict: \.x: required"):
        returning(Row).dump_result({})


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop})

    assert refused(Any, loop) == ("result[1].again", "list")
    assert refused(list[Any], loop) == ("result[1].again", "list")


@pytest.mark.parametrize("members", [1, 2, 100_000])
def test_a_value_that_contains_itself_is_not_called_too_large(members: int) -> None:
    loop: list[Any] = [0] * (members - 1)
    loop.append(loop)

    with pytest.raises(ResultNotSerializable, match=rf"result\[{members - 1}\] .*contains itself"):
        returning(Any).dump_result(loop, max_size=5 << 20)


def test_a_value_that_is_there_twice_does_not_contain_itself() -> None:
    part = [1]

    assert returning(Any).dump_result([part, part], max_size=100) == b"[[1],[1]]"


@pytest.mark.parametrize("hint", [Any, dict[str, Any], dict[str, list[dict[str, int]]]])
def test_a_key_that_has_no_utf_8_form_is_named(hint: Any) -> None:
    with pytest.raises(ResultNotSerializable) as caught:
        returning(hint).dump_result({"a": [{"\ud800": 1}]})

    assert caught.value.path == "result.a[0]"
    assert 'the key "\\ud800"' in caught.value.description
    assert "UTF-8" in caught.value.description


@pytest.mark.parametrize("hint", [Any, list[str]])
def test_text_that_has_no_utf_8_form_is_told_so(hint: Any) -> None:
    with pytest.raises(ResultNotSerializable, match=r"result\[1\] of type str: .*UTF-8"):
        returning(hint).dump_result(["a", "\ud800"])


def test_what_no_type_declares_is_refused_with_advice() -> None:
    with pytest.raises(ResultNotSerializable, match="declare its type in the return type"):
        returning(Any).dump_result({"when": NOW})


def test_an_output_of_no_declared_type_is_refused_like_a_result() -> None:
    def f():  # type: ignore[no-untyped-def]  # the point
        yield

    tasks = TaskRegistry()
    tasks.task("a")(f)

    with pytest.raises(ResultNotSerializable, match=r"output\.when of type datetime\.datetime"):
        tasks["a"].dump_output({"when": NOW})


def test_details_of_no_declared_type_are_refused_like_a_result() -> None:
    with pytest.raises(ResultNotSerializable, match=r"details\.when of type datetime\.datetime"):
        checked_details({"when": NOW})


def test_a_value_nested_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]

    path, python_type = refused(Any, deep)

    assert path == "result" + "[0]" * 200
    assert python_type == "list"


def test_a_value_that_can_be_written_can_be_read() -> None:
    def f(value: Any, /) -> Any: ...

    tasks = TaskRegistry()
    tasks.task("a")(f)
    deep: list[Any] = []
    for _ in range(190):
        deep = [deep]

    assert tasks["a"].violations(tasks["a"].dump_result(deep)) == []


def test_no_refusal_repeats_the_value() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "s3cr3t"

    for hint, value in [(Any, Secret()), (int, "s3cr3t"), (dict[str, Any], {"a": Secret()})]:
        with pytest.raises(ResultNotSerializable) as caught:
            returning(hint).dump_result(value)
        assert "s3cr3t" not in str(caught.value)


def test_an_error_in_a_types_own_code_is_a_refusal() -> None:
    @dataclasses.dataclass
    class Lazy:
        value: int

        def __getattribute__(self, name: str) -> Any:
            if name == "value":
                raise RuntimeError("not loaded")
            return super().__getattribute__(name)

    lazy = object.__new__(Lazy)

    assert refused(Any, [lazy])[0].startswith("result")


def make_plain() -> Callable[[], Any]:
    def f():  # type: ignore[no-untyped-def]  # the point
        ...

    return f


def test_a_function_without_annotation_has_no_output_schema() -> None:
    tasks = TaskRegistry()
    tasks.task("a")(make_plain())

    assert tasks["a"].output_schema is None
    assert tasks["a"].dump_result([1]) == b"[1]"
