"""Turns what a task returned into the JSON that is kept: exactly, or not at all."""

from inspect import formatannotation
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from taskline_service.tasks.culprit import Culprit, find_culprit, find_unwritable_key, type_name
from taskline_service.tasks.paths import Path, written
from taskline_service.tasks.published import JsonSchema
from taskline_service.tasks.strict import strict_writer
from taskline_service.tasks.validation import InputValidator
from taskline_service.tasks.weight import least_size

# What pydantic writes for half of a surrogate pair in a key; in a value it refuses it.
_REPLACED = "\N{REPLACEMENT CHARACTER}".encode()


class ResultNotSerializable(Exception):
    """A value cannot be kept as JSON; `path` and `python_type` tell where and why."""

    def __init__(self, path: str, python_type: str, description: str) -> None:
        super().__init__(f"{path} of type {python_type}: {description}")
        self.path = path
        self.python_type = python_type
        self.description = description


class ResultTooLarge(Exception):
    """A result, or an output, is over the limit."""

    def __init__(self, what: str, size: str, limit: int) -> None:
        message = (
            f"the {what} has {size} bytes, the limit is {limit}: "
            f"store it elsewhere and {'yield' if what == 'output' else 'return'} a reference to it"
        )
        super().__init__(message)


class ResultWriter:
    """Writes values of one type. Build once; safe to share between threads."""

    def __init__(self, adapter: TypeAdapter[Any], hint: Any, schema: JsonSchema | None) -> None:
        """For values of type `hint`, which must fit `schema` once written."""
        self._adapter = adapter
        self._hint = hint
        self._write = strict_writer(hint)
        self._schema = InputValidator(schema) if schema is not None else None

    def dump(self, value: Any, root: str = "result", *, max_size: int | None = None) -> bytes:
        """The value as JSON, of at most `max_size` bytes.

        Raises:
            ResultNotSerializable: It does not fit its type, or JSON.
            ResultTooLarge: It takes more bytes.
        """
        if max_size is None:
            return self._dump(value, root)
        # Far too large is told before memory is spent on it. A declared type may write
        # itself shorter than it looks.
        if self._schema is None and (least := least_size(value, max_size)) > max_size:
            raise ResultTooLarge(root, f"at least {least}", max_size)
        text = self._dump(value, root)
        if len(text) > max_size:
            raise ResultTooLarge(root, str(len(text)), max_size)
        return text

    def read(self, json: bytes) -> Any:
        """The value from its JSON; raises ValueError if it is of another type."""
        try:
            return self._adapter.validate_json(json)
        except ValidationError as error:
            # Not chained: what pydantic says contains the value.
            details = error.errors(include_url=False, include_context=False, include_input=False)
        raise ValueError(
            "; ".join(f"{'.'.join(map(str, ('result', *d['loc'])))}: {d['type']}" for d in details)
        )

    def _dump(self, value: Any, root: str) -> bytes:
        try:
            text = self._write(value)
            # Read back: refuses NaN, and what nobody could read for its depth.
            parsed = from_json(text, allow_inf_nan=False)
        except Exception as error:  # a type's own code may raise anything
            # Not chained: what pydantic says contains the value.
            culprit = self._culprit(value, root, error)
        else:
            misfit = self._misfit(value, parsed, root)
            if misfit is None and _REPLACED in text:
                misfit = find_unwritable_key(value, root)
            if misfit is None:
                return text
            culprit = misfit
        raise ResultNotSerializable(culprit.path, culprit.python_type, culprit.description)

    def _culprit(self, value: Any, root: str, error: Exception) -> Culprit:
        """Where it went wrong, by ever less certain means."""
        return (
            find_culprit(value, root, self._hint)
            or self._misfit_when_written_anyway(value, root)
            or find_culprit(value, root, Any)
            or Culprit(
                root,
                type_name(value),
                f"cannot be written as {formatannotation(self._hint)} ({type_name(error)})",
            )
        )

    def _misfit_when_written_anyway(self, value: Any, root: str) -> Culprit | None:
        try:
            parsed = from_json(self._adapter.dump_json(value, warnings=False))
        except Exception:  # as in dump(); then there is no such clue
            return None
        return self._misfit(value, parsed, root)

    def _misfit(self, value: Any, parsed: Any, root: str) -> Culprit | None:
        """The first part that the schema refuses."""
        faults = self._schema.faults(parsed) if self._schema is not None else []
        if not faults:
            return None
        path, part = _as_far_as_there(value, faults[0].path)
        missing = written("", faults[0].path[len(path) :])
        description = f"{missing}: {faults[0].description}" if missing else faults[0].description
        return Culprit(written(root, path), type_name(part), description)


def _as_far_as_there(value: Any, path: Path) -> tuple[Path, Any]:
    """The part at this path; if it is missing, the last one on the way to it."""
    for depth, step in enumerate(path):
        by_key: Any = isinstance(value, (dict, list, tuple))
        try:
            value = value[step] if by_key else getattr(value, str(step))
        except (LookupError, TypeError, AttributeError):
            return path[:depth], value
    return path, value


_UNDECLARED = ResultWriter(TypeAdapter(Any), Any, None)


def dump_undeclared(value: Any, *, root: str = "result") -> bytes:
    """A value of no declared type as JSON; raises as ResultWriter.dump()."""
    return _UNDECLARED.dump(value, root)
