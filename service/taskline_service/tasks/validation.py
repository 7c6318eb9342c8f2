"""Holds a JSON value against a JSON Schema; says of each wrong field what is wrong.

The one source of violations: a server that has a task's code and one that has only
its published schema say the same.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ValidationError
from pydantic import AnyUrl, TypeAdapter

from taskline_service.errors import FieldViolation
from taskline_service.tasks.excerpt import Excerpt, excerpt
from taskline_service.tasks.paths import Path, located, order, written
from taskline_service.tasks.protojson import integers_in_strings, lenient, with_integers
from taskline_service.tasks.published import JsonSchema
from taskline_service.tasks.wording import Fault, faults_of

# More would tell nobody more, and the answer has to fit into the call's trailers.
MAX_FAULTS = 50
_MAX_BACKTRACKS = 100_000
# Members and items that are looked at to name faults.
_MAX_PARTS = 5000


class InputValidator:
    """A compiled schema. Compile once; safe to share between threads."""

    def __init__(self, schema: JsonSchema | None) -> None:
        """Compile it; None accepts anything.

        Raises:
            ValueError: The schema is not a JSON Schema.
        """
        self._schema: JsonSchema = {} if schema is None else schema
        self._compiled = _compiled(self._schema)

    def violations(self, value: object, prefix: str = "input") -> list[FieldViolation]:
        """One for each wrong field of a parsed JSON value, in order; empty if it fits."""
        _, faults = self.check(value)
        return violations_of(faults, prefix)

    def check(self, value: Any) -> tuple[Any, list[Fault]]:
        """The value as its reader should get it, and what is wrong with it.

        ProtoJSON writes integers beyond 2^53 as strings. Where only an integer fits,
        the decimal string of one is taken for it.
        """
        if self._compiled.is_valid(value):
            return value, []
        part = excerpt(value, parts=_MAX_PARTS)
        if part.cut and self._lenient.is_valid(value):
            return value, []  # its reader will see to the limits of such integers
        errors = self._compiled.iter_errors(part.value)
        if places := set(integers_in_strings(errors, part.value)):
            part.value = with_integers(part.value, places)
        faults = self._faults_in(part)
        if part.cut:
            return value, faults or self._first_fault(self._lenient, value)
        return part.value if places else value, faults

    def faults(self, value: Any) -> list[Fault]:
        """What is wrong with a value that is not ProtoJSON: text is never an integer."""
        if self._compiled.is_valid(value):
            return []
        return self._faults_in(excerpt(value, parts=_MAX_PARTS)) or self._first_fault(
            self._compiled, value
        )

    @cached_property
    def _lenient(self) -> Draft202012Validator:
        return _compiled(lenient(self._schema))

    def _faults_in(self, part: Excerpt) -> list[Fault]:
        """One for each field, in order."""
        by_path: dict[Path, list[str]] = {}
        for error in self._compiled.iter_errors(part.value):
            if not part.may_blame(located(part.value, error.instance_path, error.instance)):
                continue
            for fault in faults_of(error, self._schema, part.value):
                texts = by_path.setdefault(fault.path, [])
                if fault.description not in texts:
                    texts.append(fault.description)
        paths = sorted(by_path, key=order)[:MAX_FAULTS]
        return [Fault(path, "; ".join(by_path[path])) for path in paths]

    def _first_fault(self, compiled: Draft202012Validator, value: Any) -> list[Fault]:
        try:
            compiled.validate(value)
        except ValidationError as error:
            return list(faults_of(error, self._schema, value))[:MAX_FAULTS]
        return []


def violations_of(faults: Iterable[Fault], prefix: str) -> list[FieldViolation]:
    """The same in the contract's words."""
    return [FieldViolation(written(prefix, fault.path), fault.description) for fault in faults]


def _compiled(schema: JsonSchema) -> Draft202012Validator:
    return Draft202012Validator(
        schema,
        validate_formats=True,
        formats=_FORMATS,
        pattern_options=FancyRegexOptions(backtrack_limit=_MAX_BACKTRACKS),
        offline=True,
    )


def _readable_as(hint: Any) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(hint)

    def check(text: str) -> bool:
        try:
            adapter.validate_python(text)
        except ValueError:
            return False
        return True

    return check


# As pydantic reads them, for the same verdict with and without the task's code.
_FORMATS = {
    "date-time": _readable_as(datetime),
    "date": _readable_as(date),
    "time": _readable_as(time),
    "duration": _readable_as(timedelta),
    "uuid": _readable_as(UUID),
    "uri": _readable_as(AnyUrl),
}
