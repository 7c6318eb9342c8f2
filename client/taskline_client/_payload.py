"""Values and the JSON text that carries them; exact in both directions.

The standard library's json on purpose, also where a faster one is installed:
others write NaN as null or lose integers beyond 64 bits, and what a task gets must
not depend on what else is installed.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from google.protobuf import json_format

from taskline.v1 import task_pb2 as pb


def to_payload(value: Any) -> pb.Payload:
    """The payload of a task's input.

    Models (pydantic's, or anything with `model_dump`) and dataclasses become
    objects; datetimes, UUIDs, paths and enums what their type's JSON form is.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: It has one that JSON forbids (NaN, infinity), or refers to itself.
    """
    try:
        text = json.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=_plain,
        )
        return pb.Payload(json_bytes=text.encode())
    except TypeError as error:
        raise TypeError(f"the input cannot be written as JSON: {error}") from error
    except ValueError as error:
        raise ValueError(f"the input cannot be written as JSON: {error}") from error


def from_payload(payload: pb.Payload) -> Any:
    """The value that a payload carries; None for one that is unset.

    A protobuf message, which this client never asks for, reads as its bytes.
    """
    match payload.WhichOneof("kind"):
        case "json_bytes":
            return json.loads(payload.json_bytes)
        case "json":
            return json_format.MessageToDict(payload.json)
        case "message":
            return payload.message.value
        case _:
            return None


def _plain(value: object) -> object:
    """What json does not know, one level nearer to what it does."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return dump(mode="json", by_alias=True)
    match value:
        case Mapping():
            return dict(value)
        case date() | time():
            return value.isoformat()
        case Enum():
            return value.value
        case UUID() | PurePath():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__qualname__} has no JSON form")
