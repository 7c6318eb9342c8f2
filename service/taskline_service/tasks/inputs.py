"""Reads the input of a task: first by its schema, then by its types.

The schema comes first because every server has it. What is left to the types is what
only code can check: a model's own validators.
"""

from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json
from pydantic_core.core_schema import ErrorType

from taskline_service.errors import FieldViolation, InvalidInput
from taskline_service.tasks.paths import Path
from taskline_service.tasks.published import JsonSchema
from taskline_service.tasks.validation import MAX_FAULTS, InputValidator, violations_of
from taskline_service.tasks.wording import Fault

# Of what is larger and does not fit the schema, the types are not asked too: pydantic
# makes an object of every single error.
_MOST_FOR_BOTH = 64 * 1024

# What pydantic says of these has something of the input in it, or may have: a tag, a
# character, or the words of an exception, such as a validator's own. (That a list is too long
# tells of its length alone.)
_MAY_REPEAT_THE_INPUT = {
    *("value_error", "assertion_error", "get_attribute_error", "iteration_error", "mapping_type"),
    *("date_parsing", "date_from_datetime_parsing", "time_parsing", "time_delta_parsing"),
    *("datetime_parsing", "datetime_object_invalid", "datetime_from_date_parsing"),
    *("timezone_offset", "uuid_parsing", "url_parsing", "url_syntax_violation"),
    *("json_invalid", "bytes_invalid_encoding", "union_tag_invalid"),
}
_REPEATS_NO_INPUT = frozenset(get_args(ErrorType)) - _MAY_REPEAT_THE_INPUT


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
        if faults and len(input) > _MOST_FOR_BOTH:
            raise InputMismatch(violations_of(faults, "input"))
        value, own = self._by_type(input if checked is parsed else to_json(checked), parsed)
        if faults or own:
            raise InputMismatch(violations_of(_together(faults, own), "input"))
        return value

    def _by_type(self, input: bytes, parsed: Any) -> tuple[Any, list[Fault]]:
        try:
            return self._adapter.validate_json(input), []
        except ValidationError as error:
            # Not chained: what pydantic says contains the value.
            details = error.errors(include_url=False, include_context=False, include_input=False)
        return None, _own_faults(details, parsed)


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
        by_path.setdefault(_path_in(value, detail["loc"]), _in_words(detail))
    return [Fault(path, text) for path, text in list(by_path.items())[:MAX_FAULTS]]


def _in_words(detail: ErrorDetails) -> str:
    """Without any part of the input. The kind of an error that code raises is its author's."""
    if detail["type"] in _REPEATS_NO_INPUT:
        return detail["msg"]
    return f"was refused by the type's own check ({detail['type']})"


def _together(by_schema: list[Fault], own: list[Fault]) -> list[Fault]:
    """The schema's first. Where it found something in a member, only that: of a union, for
    example, the type would name what is wrong with the other alternatives too.
    """
    if not by_schema:
        return own
    wrong = {fault.path[:1] for fault in by_schema}
    more = [fault for fault in own if fault.path and fault.path[:1] not in wrong]
    return [*by_schema, *more][:MAX_FAULTS]


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
