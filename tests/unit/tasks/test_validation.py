"""The published schema alone gives the violations."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from pydantic_core import from_json

from taskline_service.errors import FieldViolation
from taskline_service.tasks import InputValidator, TaskRegistry, TaskTypeInfo


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


@dataclass
class Node:
    value: int
    next: "Node | None" = None


def pets(
    pet: Annotated[Cat | Dog, Field(discriminator="kind")], n: int, node: Node | None = None
) -> None: ...


TASKS = TaskRegistry()
TASKS.task("pets")(pets)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '{"pet": {"kind": "cat", "lives": "nine"}, "n": 1}',
        '{"pet": {"kind": "dog"}, "n": null, "m": 2}',
        '{"pet": {"kind": "cow"}, "n": "x"}',
        '{"pet": {"kind": "dog", "name": "d"}, "n": 1, "node": {"value": 1, "next": {}}}',
    ],
)
def test_a_server_without_the_code_gives_the_same_violations(text: str) -> None:
    with_code = TASKS["pets"]
    published = TaskTypeInfo.from_json(with_code.info.to_json())

    without_code = InputValidator(published.input_schema).violations(from_json(text.encode()))

    assert without_code
    assert with_code.violations(text.encode()) == without_code


@pytest.mark.parametrize(
    ("value", "field", "description"),
    [
        ({"kind": "cat", "lives": "nine"}, "input.pet.lives", "must be an integer"),
        ({"kind": "dog"}, "input.pet.name", "required"),
        ("cat", "input.pet", "must be an object"),
        ({"kind": "dog", "name": "d", "nane": 1}, "input.pet.nane", "unknown field; did you"),
    ],
)
def test_of_a_union_the_alternative_that_was_meant_is_reported(
    value: Any, field: str, description: str
) -> None:
    validator = InputValidator(TASKS["pets"].input_schema)

    (violation,) = validator.violations({"pet": value, "n": 1})

    assert violation.field == field
    assert violation.description.startswith(description)


def test_an_undeclared_input_accepts_anything() -> None:
    value: Any
    for value in (None, 1, "x", [], {"": [{}]}):
        assert InputValidator(None).violations(value) == []


def test_members_with_odd_names_are_quoted() -> None:
    validator = InputValidator({"additionalProperties": {"type": "string"}})

    found = validator.violations({"a b": 1, "": 2, "c.d": 3, "e-f": 4})

    assert [v.field for v in found] == ['input[""]', 'input["a b"]', 'input["c.d"]', "input.e-f"]


def test_names_that_look_like_positions_or_are_empty_are_told_apart() -> None:
    integers = {"additionalProperties": {"type": "integer"}}
    validator = InputValidator({"additionalProperties": integers})

    value, faults = validator.check({"": {"": "5"}, "0": {"1": "6", "02": "x"}, "a": {"": "7"}})

    assert value == {"": {"": 5}, "0": {"1": 6, "02": "x"}, "a": {"": 7}}
    assert [fault.path for fault in faults] == [("0", "02")]


def test_another_prefix_is_used_for_a_batch() -> None:
    found = InputValidator({"type": "integer"}).violations("x", prefix="requests[3].input")

    assert found == [FieldViolation("requests[3].input", "must be an integer")]


def test_several_rules_broken_by_one_field_are_one_violation() -> None:
    found = InputValidator({"minLength": 5, "pattern": "^a"}).violations("b")

    assert found == [
        FieldViolation("input", "must have at least 5 characters; must match the pattern ^a")
    ]


def test_a_hostile_pattern_ends_quickly() -> None:
    validator = InputValidator({"type": "string", "pattern": r"^(?!x)((a+)+)\1$"})

    (violation,) = validator.violations("a" * 60 + "b")

    assert violation.field == "input"
    assert "aaa" not in violation.description


def test_thousands_of_faults_are_cut_and_positions_ordered_as_numbers() -> None:
    found = InputValidator({"items": {"type": "integer"}}).violations(["x"] * 2000)

    assert [v.field for v in found] == [f"input[{i}]" for i in range(50)]


def test_thousands_of_integers_in_strings_are_read() -> None:
    value, faults = InputValidator({"items": {"type": "integer"}}).check(["7"] * 2000)

    assert value == [7] * 2000
    assert faults == []


def test_a_huge_input_with_a_fault_in_every_item_is_refused_quickly() -> None:
    validator = InputValidator({"items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}})

    found = validator.violations(["x"] * 200_000)

    assert found[0] == FieldViolation("input[0]", "must be an integer or null")


def test_in_a_huge_input_a_late_fault_is_found_and_no_other_is_made_up() -> None:
    validator = InputValidator(
        {"items": {"type": "integer"}, "minItems": 20_000, "prefixItems": [{"minItems": 9_000}]}
    )
    value: list[Any] = [[0] * 9_000, *["7"] * 20_000]

    assert validator.violations(value) == []
    assert validator.violations([*value, "x"]) == [
        FieldViolation("input[20001]", "must be an integer")
    ]


def test_integers_in_strings_keep_their_limits() -> None:
    validator = InputValidator({"type": "integer", "maximum": 10})

    assert validator.violations("10") == []
    assert validator.violations("11") == [FieldViolation("input", "must be at most 10")]


@pytest.mark.parametrize(
    ("format", "good", "bad"),
    [
        ("date-time", "2024-01-01T00:00:00", "yesterday"),
        ("date", "2024-01-31", "2024-02-31"),
        ("duration", "PT1H", "soon"),
        ("uuid", "12345678-1234-5678-1234-567812345678", "123"),
    ],
)
def test_formats_are_read_as_the_types_read_them(format: str, good: str, bad: str) -> None:
    validator = InputValidator({"type": "string", "format": format})

    assert validator.violations(good) == []
    assert validator.violations(bad) == [FieldViolation("input", f"must be a valid {format}")]


def test_a_document_that_is_no_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        InputValidator({"type": "nonsense"})
