"""Payload <-> the JSON text that is stored. Pure.

The store keeps exact bytes: `json_bytes` passes untouched, `json` is translated at
this edge, for people.
"""

from typing import Any

import orjson

from taskline.v1 import task_pb2 as pb
from taskline_service.errors import FieldViolation, InvalidInput, PayloadTooLarge
from taskline_service.limits import MAX_INPUT_BYTES, MAX_JSON_DEPTH
from taskline_service.rpc import json_value

_AS_TEXT = frozenset({pb.PAYLOAD_FORMAT_JSON_BYTES, pb.PAYLOAD_FORMAT_MESSAGE})


def payload_to_json_bytes(
    payload: pb.Payload,
    field: str,
    *,
    max_size: int = MAX_INPUT_BYTES,
    unset: bytes = b"{}",
) -> bytes:
    """What to store for a payload that a caller sent.

    Args:
        payload: As received.
        field: Its path in the request, for error messages, as in "input".
        max_size: Most bytes of JSON text accepted.
        unset: Stands for a payload of no kind.

    Raises:
        InvalidInput: Not a JSON value, or nested too deeply, or a protobuf message.
        PayloadTooLarge: More than `max_size` bytes of JSON text.
    """
    match payload.WhichOneof("kind"):
        case "json":
            return _from_json(payload, field, max_size)
        case "json_bytes":
            return _from_json_bytes(payload.json_bytes, f"{field}.json_bytes", max_size)
        case "message":
            advice = "the task type declares no protobuf message; use json or json_bytes"
            raise InvalidInput.of(f"{field}.message", advice)
        case _:
            return unset


def json_bytes_to_payload(
    data: bytes, payload_format: pb.PayloadFormat.ValueType, *, max_size: int
) -> pb.Payload | None:
    """A stored value in the form that the caller asked for.

    What a protobuf value cannot hold (more than 30 levels, a number with a fraction or an
    exponent beyond the range of a double) comes as `json_bytes`, whatever was asked for.

    Args:
        data: JSON text.
        payload_format: The caller's wish. No task type declares messages yet, so
            PAYLOAD_FORMAT_MESSAGE gets `json_bytes`.
        max_size: Most bytes of the value in that form.

    Returns:
        None if it would take more than `max_size`.
    """
    if payload_format in _AS_TEXT:
        return pb.Payload(json_bytes=data) if len(data) <= max_size else None
    return _to_json(data, max_size)


def to_translate(size: int, payload_format: pb.PayloadFormat.ValueType) -> int:
    """How many of `size` bytes are work: none where they go out as they are."""
    return 0 if payload_format in _AS_TEXT else size


def _to_json(data: bytes, max_size: int) -> pb.Payload | None:
    if json_value.exceeds(data, max_size):
        return None
    payload = pb.Payload()
    try:
        json_value.fill_value(payload.json, data)
    except json_value.NotRepresentable:
        return pb.Payload(json_bytes=data) if len(data) <= max_size else None
    return payload if payload.json.ByteSize() <= max_size else None


def _from_json(payload: pb.Payload, field: str, max_size: int) -> bytes:
    try:
        data = json_value.json_from_value(payload.json)
    except json_value.NotRepresentable as reason:
        raise InvalidInput.of(f"{field}.json", str(reason)) from reason
    _check_size(data, f"{field}.json", max_size)
    return data


def _from_json_bytes(data: bytes, field: str, max_size: int) -> bytes:
    _check_size(data, field, max_size)
    try:
        plain = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidInput.of(field, f"not a JSON value: {error}") from error
    # So few brackets cannot be nested too deeply: the usual case, at no cost.
    if data.count(b"[") + data.count(b"{") > MAX_JSON_DEPTH and _deeper_than(MAX_JSON_DEPTH, plain):
        raise InvalidInput.of(field, f"nested more than {MAX_JSON_DEPTH} levels deep")
    return data


def _check_size(data: bytes, field: str, max_size: int) -> None:
    if len(data) > max_size:
        raise PayloadTooLarge(
            [
                FieldViolation(
                    field,
                    f"{len(data)} bytes of JSON, the limit is {max_size};"
                    " store large data elsewhere and pass a reference to it",
                )
            ],
            size_bytes=str(len(data)),
            limit_bytes=str(max_size),
        )


def _deeper_than(levels: int, plain: Any) -> bool:
    """Level by level, because recursion is what a deep value breaks."""
    containers = [plain] if isinstance(plain, dict | list) else []
    for _ in range(levels):
        containers = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, dict | list)
        ]
    return bool(containers)
