"""How a function's parameters read the input."""

import decimal
import enum
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    StrictInt,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_core._pydantic_core import list_all_errors
from typing_extensions import TypedDict

from taskline_service.errors import FieldViolation
from taskline_service.tasks import (
    InputMismatch,
    ProgressReporter,
    TaskContext,
    TaskDefinition,
    TaskRegistry,
)
from taskline_service.tasks.inputs import _REPEATS_NO_INPUT
from taskline_service.tasks.schemas import input_schema
from taskline_service.tasks.validation import InputValidator

if TYPE_CHECKING:
    from decimal import Decimal

CTX = TaskContext(
    task_id="t1",
    task_type="a",
    attempt=1,
    worker="w1",
    progress=ProgressReporter(lambda progress: None),
)


def defined(function: Callable[..., Any]) -> TaskDefinition:
    tasks = TaskRegistry()
    tasks.task("a")(function)
    return tasks["a"]


def call(function: Callable[..., Any], text: str | bytes) -> Any:
    task = defined(function)
    bound = task.arguments(text.encode() if isinstance(text, str) else text, CTX)
    return function(*bound.args, **bound.kwargs)


def violations(function: Callable[..., Any], text: str) -> list[tuple[str, str]]:
    return [(v.field, v.description) for v in defined(function).violations(text.encode())]


class Box(BaseModel):
    x: int
    y: int = 0


@dataclass
class Size:
    width: int
    height: int = 1


class Point(TypedDict):
    x: int


class Color(enum.Enum):
    RED = "red"


def test_members_of_the_input_are_the_parameters() -> None:
    def f(path: str, ctx: TaskContext, *, top: int = 10) -> Any:
        return path, ctx, top

    assert call(f, '{"path": "README.md"}') == ("README.md", CTX, 10)
    assert call(f, '{"path": "ü", "top": 3}') == ("ü", CTX, 3)


def test_the_context_is_found_in_every_spelling_and_is_in_no_schema() -> None:
    def optional(x: int, ctx: TaskContext | None = None) -> Any:
        return x, ctx

    def text(x: "int", ctx: "TaskContext") -> Any:
        return x, ctx

    def first(ctx: TaskContext, x: int) -> Any:
        return x, ctx

    def positional(ctx: TaskContext, x: int, /) -> Any:
        return x, ctx

    for function in (optional, text, first):
        assert call(function, '{"x": 1}') == (1, CTX)
        schema = defined(function).input_schema
        assert schema is not None
        assert list(schema["properties"]) == ["x"]
    assert call(positional, "1") == (1, CTX)


def test_annotations_as_text_may_name_what_is_local() -> None:
    class Local(BaseModel):
        x: int

    tasks = TaskRegistry()

    @tasks.task("a")
    def f(local: "Local", other: "list[Local]") -> Any:
        return local, other

    bound = tasks["a"].arguments(b'{"local": {"x": 1}, "other": [{"x": 2}]}', CTX)
    assert bound.kwargs == {"local": Local(x=1), "other": [Local(x=2)]}


def test_an_annotation_that_is_unknown_at_run_time_is_refused_with_advice() -> None:
    def f(x: "Decimal") -> None: ...

    with pytest.raises(ValueError, match="Import it at run time"):
        defined(f)


def test_a_lone_model_takes_the_whole_input() -> None:
    def model(box: Box) -> Any:
        return box

    def data(size: Size, ctx: TaskContext) -> Any:
        return size

    def typed(point: Point) -> Any:
        return point

    assert call(model, '{"x": 1}') == Box(x=1)
    assert call(data, '{"width": 2}') == Size(2)
    assert call(typed, '{"x": 3}') == {"x": 3}


def test_a_model_beside_another_parameter_is_a_member() -> None:
    def f(box: Box, n: int = 1) -> Any:
        return box, n

    assert call(f, '{"box": {"x": 1}}') == (Box(x=1), 1)


def test_a_positional_only_parameter_takes_the_whole_input_of_any_type() -> None:
    def f(items: list[int], /) -> Any:
        return items

    def g(anything: Any, /) -> Any:
        return anything

    assert call(f, "[1, 2]") == [1, 2]
    assert call(g, "null") is None
    assert call(g, '"text"') == "text"
    assert defined(g).input_schema is None
    assert violations(f, '[1, "x"]') == [("input[1]", "must be an integer")]


def test_parameters_without_names_are_refused() -> None:
    def two(a: int, b: int, /) -> None: ...
    def mixed(a: int, /, b: int) -> None: ...
    def star(*args: int) -> None: ...
    def twice(a: TaskContext, b: TaskContext) -> None: ...
    def field(a: int = Field(default=1)) -> None: ...

    refused: list[tuple[Callable[..., Any], str]] = [
        (two, "only one"),
        (mixed, "only one"),
        (star, "have names"),
        (twice, "more than one"),
        (field, "Annotated"),
    ]
    for function, text in refused:
        with pytest.raises(ValueError, match=text):
            defined(function)


def test_keyword_arguments_take_the_other_members() -> None:
    def loose(a: int, **rest: Any) -> Any:
        return a, rest

    def typed(**rest: int) -> Any:
        return rest

    assert call(loose, '{"a": 1, "b": [2], "": null}') == (1, {"b": [2], "": None})
    assert call(typed, '{"b": 2}') == {"b": 2}
    assert violations(typed, '{"b": "x"}') == [("input.b", "must be an integer")]


def test_no_parameters_take_an_empty_object_or_nothing() -> None:
    def f() -> str:
        return "called"

    assert call(f, "{}") == "called"
    assert call(f, "") == "called"
    assert violations(f, '{"a": 1}') == [("input.a", "unknown field")]
    assert violations(f, "[]") == [("input", "must be an object")]


def test_parameters_without_annotation_accept_anything() -> None:
    def f(a, _b=None, schema=1, model_config=2):  # type: ignore[no-untyped-def]  # the point
        return a, _b, schema, model_config

    assert call(f, '{"a": [null], "_b": {"": 1}}') == ([None], {"": 1}, 1, 2)


def test_types_of_all_kinds_are_read() -> None:
    def f(
        *,
        color: Color,
        when: datetime,
        kind: Literal["a", "b"],
        boxes: list[Box],
        sizes: dict[str, Size],
        maybe: int | None = None,
        either: int | str = 0,
    ) -> Any:
        return color, when, kind, boxes, sizes, maybe, either

    text = (
        '{"color": "red", "when": "2024-01-02T03:04:05Z", "kind": "b", "boxes": [{"x": 1}],'
        ' "sizes": {"s": {"width": 2}}, "either": "e"}'
    )
    assert call(f, text) == (
        Color.RED,
        datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        "b",
        [Box(x=1)],
        {"s": Size(2)},
        None,
        "e",
    )


def test_constraints_are_enforced() -> None:
    def f(n: Annotated[int, Field(gt=0, le=10)], s: Annotated[str, Field(max_length=2)]) -> None:
        pass

    assert violations(f, '{"n": 0, "s": "abc"}') == [
        ("input.n", "must be greater than 0"),
        ("input.s", "must have at most 2 characters"),
    ]


def test_every_wrong_field_is_named_once() -> None:
    def f(
        width: int, boxes: list[Box], mode: Literal["a", "b"] = "a", top: int | None = None
    ) -> None:
        pass

    found = violations(
        f,
        '{"widht": 1, "boxes": [{"x": 1}, {"y": "s", "z": 1}], "mode": "c", "top": "x"}',
    )
    assert found == [
        ("input.boxes[1].x", "required"),
        ("input.boxes[1].y", "must be an integer"),
        ("input.boxes[1].z", "unknown field"),
        ("input.mode", 'must be one of "a", "b"'),
        ("input.top", "must be an integer or null"),
        ("input.widht", 'unknown field; did you mean "width"?'),
        ("input.width", "required"),
    ]


@pytest.mark.parametrize("hint", [Box, Size, Point])
def test_models_without_own_rule_refuse_unknown_members(hint: Any) -> None:
    def f(value: hint, n: int = 1) -> None: ...

    found = [v for v in violations(f, '{"value": {"x": 1, "width": 1, "q": 1}}') if "q" in v[0]]
    assert found == [("input.value.q", "unknown field")]


def test_a_models_own_rule_for_unknown_members_decides() -> None:
    class Ignoring(BaseModel):
        model_config = ConfigDict(extra="ignore")
        x: int = 0

    class Allowing(BaseModel):
        model_config = ConfigDict(extra="allow")
        x: int = 0

    def f(a: Ignoring, b: Allowing) -> Any:
        return a, b

    assert call(f, '{"a": {"q": 1}, "b": {"q": 1}}') == (Ignoring(), Allowing(q=1))  # type: ignore[call-arg]  # extra


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        pytest.param(lambda n: ValueError(f"{n} is odd"), "value_error", id="ValueError"),
        pytest.param(AssertionError, "assertion_error", id="AssertionError"),
        pytest.param(
            lambda n: PydanticCustomError("not_even", "{n} is odd", {"n": n}),
            "not_even",
            id="an error of the author's own",
        ),
    ],
)
def test_d37_what_a_models_own_validator_says_is_not_repeated_as_it_may_hold_the_input(
    raised: Callable[[int], Exception], kind: str
) -> None:
    class Even(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def even(cls, n: int) -> int:
            if n % 2:
                raise raised(n)
            return n

    def f(items: list[Even | None]) -> None: ...

    assert violations(f, '{"items": [{"n": 2}, {"n": 47110815}]}') == [
        ("input.items[1].n", f"was refused by the type's own check ({kind})")
    ]


def test_d37_a_validator_that_is_broken_refuses_the_input_without_repeating_it() -> None:
    def broken(number: int) -> int:
        raise RuntimeError(number)

    def f(number: Annotated[int, AfterValidator(broken)]) -> None: ...

    (violation,) = defined(f).violations(b'{"number": 47110815}')

    assert violation == FieldViolation("input", "the type's own check failed with RuntimeError")


def test_d37_what_pydantic_says_of_a_value_has_only_what_the_schema_has() -> None:
    of_the_schema = {
        *("attribute", "class", "class_name", "decimal_places", "discriminator", "encoding"),
        *("expected", "expected_plural", "expected_schemes", "expected_tags", "expected_version"),
        *("field_type", "ge", "gt", "le", "lt", "max_digits", "max_length", "method_name"),
        *("min_length", "multiple_of", "pattern", "tz_expected", "whole_digits"),
    }

    for error in list_all_errors():
        templates = error["message_template_python"], error.get("message_template_json", "")
        told = set(re.findall(r"{(\w+)}", " ".join(templates)))
        if error["type"] in _REPEATS_NO_INPUT:
            # How many items there are is no part of them.
            assert told <= of_the_schema | {"actual_length"}, error["type"]
        else:
            assert told - of_the_schema, error["type"]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (UUID, "zzzzzzzz-47110815"),
        (datetime, "47110815T"),
        (AwareDatetime, "2026-01-01T10:00:00"),
        (AnyUrl, "47110815"),
        (Json[int], "47110815x"),
        (StrictInt, 47110815.5),
    ],
)
def test_d37_no_type_repeats_what_it_refuses(hint: Any, value: Any) -> None:
    def f(value: Any, ctx: TaskContext) -> None: ...

    f.__annotations__["value"] = hint

    (wrong,) = violations(f, json.dumps({"value": value}))

    assert wrong[0] == "input.value"
    assert "47110815" not in wrong[1]
    assert "`z`" not in wrong[1]


def test_an_integer_may_be_a_decimal_string() -> None:
    def f(n: int, items: list[int | None], one: Literal[1] = 1) -> Any:
        return n, items, one

    text = '{"n": "9007199254740993", "items": ["-5", null, 2], "one": "1"}'
    assert call(f, text) == (9007199254740993, [-5, None, 2], 1)
    assert violations(f, '{"n": "1.5", "items": ["05"]}') == [
        ("input.items[0]", "must be an integer or null"),
        ("input.n", "must be an integer"),
    ]


def test_a_decimal_string_stays_text_where_text_is_allowed() -> None:
    def f(either: int | str, text: str) -> Any:
        return either, text

    assert call(f, '{"either": "5", "text": "5"}') == ("5", "5")


@pytest.mark.parametrize("text", ["", "{", "nul", '{"a":NaN}', "[1e999", "\ufeff{}", '"\\ud800"'])
def test_what_is_not_json_is_a_violation_of_the_input(text: str) -> None:
    def f(value: Any, /) -> None: ...

    found = violations(f, text)
    assert [field for field, _ in found] == (["input"] if text else [])


def test_too_deep_and_too_long_inputs_are_refused_not_fatal() -> None:
    def f(value: Any, /) -> None: ...

    assert violations(f, "[" * 100_000)[0][0] == "input"
    assert violations(f, "1" * 5000)[0][0] == "input"


def test_of_a_member_that_is_there_twice_the_last_counts() -> None:
    def f(n: int) -> Any:
        return n

    assert call(f, '{"n": "x", "n": 2}') == 2
    assert violations(f, '{"n": 2, "n": "x"}') == [("input.n", "must be an integer")]


def test_no_violation_repeats_the_value() -> None:
    def f(
        n: int,
        when: datetime,
        mode: Literal["a"],
        box: Box,
        p: Annotated[str, Field(pattern="^a$")],
    ) -> None:
        pass

    secret = '"s3cr3t"'
    text = f'{{"n": {secret}, "when": {secret}, "mode": {secret}, "box": {secret}, "p": {secret}}}'
    with pytest.raises(InputMismatch) as caught:
        defined(f).arguments(text.encode(), CTX)
    assert len(caught.value.violations) == 5
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**80), max_value=2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def identity(value: Any, /) -> Any:
    return value


IDENTITY = defined(identity)


def member(value: Any) -> dict[str, Any]:
    return {"value": value}


MEMBER = defined(member)


def exact(value: Any) -> Any:
    """Tells 1 from 1.0 and True, and 0.0 from -0.0."""
    if isinstance(value, dict):
        return {key: exact(part) for key, part in value.items()}
    if isinstance(value, list):
        return [exact(part) for part in value]
    return (type(value), repr(value))


@given(json_values)
def test_every_json_value_survives_exactly(value: Any) -> None:
    text = IDENTITY.dump_result(value)
    (again,) = IDENTITY.arguments(text, CTX).args
    assert exact(again) == exact(value)

    member_again = MEMBER.arguments(MEMBER.dump_result({"value": value}), CTX).kwargs["value"]
    assert exact(member_again) == exact(value)


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 10**300])
def test_big_integers_survive_exactly(number: int) -> None:
    def f(n: int) -> int:
        return n

    task = defined(f)
    assert task.arguments(b'{"n":%d}' % number, CTX).kwargs == {"n": number}
    assert task.arguments(b'{"n":"%d"}' % number, CTX).kwargs == {"n": number}
    assert task.dump_result(number) == b"%d" % number


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("is odd")
    return value


def test_what_only_the_code_finds_is_told_beside_what_the_schema_finds() -> None:
    registry = TaskRegistry()

    @registry.task("both")
    def both(even: Annotated[int, AfterValidator(_even)], items: list[int]) -> None: ...

    violations = registry["both"].violations(b'{"even": 3, "items": "z"}')

    assert [v.field for v in violations] == ["input.items", "input.even"]
    assert violations[0].description == "must be a list"
    assert violations[1].description == "was refused by the type's own check (value_error)"


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        pytest.param(
            decimal.Decimal,
            [1, 1.5, "1", "-1.50", ".5", "1.", "1e3", " 2 ", "1_000"],
            ["q", "", "1.2.3", "1e", "NaN"],
            id="Decimal",
        ),
        pytest.param(
            dict[int, str],
            [{}, {"1": "a", "-2": "b"}, {"+3": ""}],
            [{"x": "a"}, {"1.5": ""}],
            id="keys",
        ),
        pytest.param(
            AwareDatetime,
            [
                "2024-01-01T10:00:00Z",
                "2024-01-01 10:00+02:00",
                "2024-01-01T10:00:00.5-0500",
                "1700000000",
            ],
            ["2024-01-01T10:00:00", "2024-01-01"],
            id="AwareDatetime",
        ),
    ],
)
def test_the_published_schema_says_what_the_type_checks(
    hint: Any, good: list[Any], bad: list[Any]
) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    validator = InputValidator(input_schema(adapter))

    for value in good:
        adapter.validate_json(json.dumps(value))
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_json(json.dumps(value))
    assert [value for value in good if validator.violations(value)] == []
    assert [value for value in bad if not validator.violations(value)] == []
