"""Declared types and JSON: by pydantic where it is installed, else by the standard library."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from taskline_client._reading import reader_of


@dataclass(frozen=True, slots=True)
class Model:
    """How values of one type become JSON, and come from it."""

    # To what to_payload() can write.
    to_json: Callable[[Any], Any]
    # Raises ValueError for anything else.
    from_json: Callable[[bytes], Any]


def model_of(hint: Any) -> Model:
    """The model of a type.

    Raises:
        TypeError: It has no JSON form, or none without pydantic.
    """
    if hint is Any:
        return Model(to_json=_as_it_is, from_json=json.loads)
    try:
        # Takes its time: only where there is a type.
        from pydantic import PydanticUserError, TypeAdapter, ValidationError
    except ModuleNotFoundError:
        return _by_standard_library(hint)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
    except PydanticUserError:  # it takes no `typing.TypedDict` before Python 3.12
        return _by_standard_library(hint)

    def to_json(value: Any) -> Any:
        # The service holds it against the schema: it is the one that knows.
        return adapter.dump_python(value, mode="json", by_alias=True, warnings=False)

    def from_json(text: bytes) -> Any:
        try:
            return adapter.validate_json(text)
        except ValidationError as error:
            # Not chained: what pydantic says contains the value, and exceptions get logged.
            details = error.errors(include_url=False, include_context=False, include_input=False)
        raise ValueError(
            "; ".join(f"{'.'.join(map(str, ('result', *d['loc'])))}: {d['type']}" for d in details)
        )

    return Model(to_json=to_json, from_json=from_json)


def _by_standard_library(hint: Any) -> Model:
    read = reader_of(hint)
    return Model(to_json=_as_it_is, from_json=lambda text: read(json.loads(text), "result"))


def _as_it_is(value: Any) -> Any:
    return value
