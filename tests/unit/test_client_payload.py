"""Values and their JSON."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.struct_pb2 import Value
from pydantic import BaseModel, Field

from taskline.v1 import task_pb2 as pb
from taskline_client._payload import from_payload, to_payload


class Size(BaseModel):
    width: int
    kind: str = Field(alias="type")


@dataclass
class Resize:
    size: Size
    paths: tuple[PurePosixPath, ...]


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (-(2**63), "-9223372036854775808"),
        (0.1, "0.1"),
        ([[], {}, [None]], "[[],{},[null]]"),
        ("Größe 😀", '"Größe 😀"'),
        (Size(width=1, type="a"), '{"width":1,"type":"a"}'),
        (
            Resize(Size(width=2**62, type="b"), (PurePosixPath("/x"),)),
            '{"size":{"width":4611686018427387904,"type":"b"},"paths":["/x"]}',
        ),
        (datetime(2026, 1, 31, tzinfo=UTC), '"2026-01-31T00:00:00+00:00"'),
        (date(2026, 1, 31), '"2026-01-31"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
    ],
)
def test_a_value_has_its_json(value: Any, text: str) -> None:
    assert to_payload(value).json_bytes.decode() == text


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (float("nan"), ValueError),
        ([float("inf")], ValueError),
        ("\ud800", ValueError),
        ({1, 2}, TypeError),
        (b"bytes", TypeError),
        ({("a", "b"): 1}, TypeError),
        (Size, TypeError),
    ],
)
def test_what_json_cannot_say_is_refused_clearly(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="the input cannot be written as JSON: "):
        to_payload(value)


def test_a_payload_of_any_kind_is_read() -> None:
    assert from_payload(pb.Payload(json_bytes=b"[9007199254740993]")) == [9007199254740993]
    assert from_payload(pb.Payload(json=Value(string_value="x"))) == "x"
    assert from_payload(pb.Payload()) is None
