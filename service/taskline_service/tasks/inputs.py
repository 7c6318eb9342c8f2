"""Reads the input of a task: first by its schema, then by its types.

The schema comes first because every server has it. What is left to the types is what
only code can check: a model's own validators.
"""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from taskline_service.errors import FieldViolation, InvalidInput
from taskline_service.tasks.paths import Path
from taskline_service.tasks.published import JsonSchema
from taskline_service.tasks.validation import MAX_FAULTS, InputValidator, violations_of
from taskline_service.tasks.wording import Fault


class InputMismatch(InvalidInput):
    """The input does not fit the task; `violations` name each wrong field."""


class InputReader:
    """Reads inputs of one type. Build once; safe to share between threads."""

    def __init__(self, adapter: TypeAdapter[Any], schema: JsonSchema | None) -> None:
        self._adapter = adapter
        self._validator = InputValidator(schema)

    def read(self, input: bytes) -> Any:
        """The input as its type; no bytes at all count as an empty object.

        Raises:
            InputMismatch: It does not fit.
        """
        input = input or b"{}"
        parsed = parse_input(input)
        checked, faults = self._validator.check(parsed)
        if faults:
            raise InputMismatch(violations_of(faults, "input"))
        try:
            return self._adapter.validate_json(input if checked is parsed else to_json(checked))
        except ValidationError as error:
            # Not chained: what pydantic says contains the value.
            details = error.errors(include_url=False, include_context=False, include_input=False)
        raise InputMismatch(violations_of(_own_faults(details, parsed), "input"))


def parse_input(input: bytes) -> Any:
    """The JSON value, integers exact.

    Raises:
        InputMismatch: It is not JSON, or cannot be kept exactly.
    """
    try:
        return from_json(input, allow_inf_nan=False)
    except ValueError as error:  # says where, and nothing of the value
        problem = f"is not valid JSON: {error}"
    raise InputMismatch([FieldViolation("input", problem)])


def _own_faults(details: list[ErrorDetails], value: Any) -> list[Fault]:
    """What a type's own validators found, one for each field."""
    by_path: dict[Path, str] = {}
    for detail in details:
        by_path.setdefault(_path_in(value, detail["loc"]), detail["msg"])
    return [Fault(path, text) for path, text in list(by_path.items())[:MAX_FAULTS]]


def _path_in(value: Any, location: Path) -> Path:
    """Pydantic's location without its own marks, as which part of a union it tried."""
    path: list[str | int] = []
    for part in location:
        if _has(value, part):
            value = value[part]
            path.append(part)
    return tuple(path)


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value
