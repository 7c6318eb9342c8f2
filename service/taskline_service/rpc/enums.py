"""Enum fields of requests: unset means the default, an unknown number is refused."""

from taskline.v1 import task_pb2 as pb
from taskline_service.errors import InvalidInput

_FORMATS = {
    pb.PAYLOAD_FORMAT_UNSPECIFIED: pb.PAYLOAD_FORMAT_JSON,
    pb.PAYLOAD_FORMAT_JSON: pb.PAYLOAD_FORMAT_JSON,
    pb.PAYLOAD_FORMAT_JSON_BYTES: pb.PAYLOAD_FORMAT_JSON_BYTES,
    pb.PAYLOAD_FORMAT_MESSAGE: pb.PAYLOAD_FORMAT_MESSAGE,
}


def payload_format(value: pb.PayloadFormat.ValueType) -> pb.PayloadFormat.ValueType:
    """How payloads are to be written; JSON unless asked otherwise.

    Raises:
        InvalidInput: This server does not know that form.
    """
    try:
        return _FORMATS[value]
    except KeyError:
        raise InvalidInput.of("payload_format", "is not one that this server knows") from None


def is_full(value: pb.TaskView.ValueType, *, default: pb.TaskView.ValueType) -> bool:
    """Whether the FULL view is asked for.

    Raises:
        InvalidInput: This server does not know that view.
    """
    if value not in pb.TaskView.values():
        raise InvalidInput.of("view", "is not one that this server knows")
    return (value or default) == pb.TASK_VIEW_FULL
