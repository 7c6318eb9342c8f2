"""Structured details that task code shows, with its progress or with a failure."""

import json
from collections.abc import Mapping
from typing import Any

from taskline_service.limits import MAX_DETAILS_BYTES, MAX_VALUE_DEPTH
from taskline_service.tasks.results import dump_undeclared


def checked_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of what can be shown; the task may go on changing its own.

    Raises:
        ResultNotSerializable: There is something in it that JSON cannot hold.
        ValueError: It takes more than 4 KiB as JSON, or is nested too deeply.
    """
    text = dump_undeclared(dict(details), root="details")
    if len(text) > MAX_DETAILS_BYTES:
        raise ValueError(f"details take {len(text)} bytes, more than {MAX_DETAILS_BYTES}")
    copy: dict[str, Any] = json.loads(text)
    if _deeper_than(MAX_VALUE_DEPTH, copy):
        raise ValueError(f"details are nested more than {MAX_VALUE_DEPTH} levels deep")
    return copy


def _deeper_than(levels: int, value: Any) -> bool:
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return not levels or any(_deeper_than(levels - 1, item) for item in items)
