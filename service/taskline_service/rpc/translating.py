"""Results in the form that callers ask for."""

from typing import TypeAlias

from taskline.v1 import task_pb2 as pb
from taskline_service.limits import MAX_ANSWERED_RESULT_BYTES
from taskline_service.offload import LARGE_BYTES, off_loop
from taskline_service.rpc.payload import json_bytes_to_payload, to_translate
from taskline_service.rpc.sharing import Sharing
from taskline_service.task import Task

_Format: TypeAlias = pb.PayloadFormat.ValueType
# Which end of which task: one that is retried has another result.
_Key: TypeAlias = tuple[str, int, _Format]


class ResultTranslation:
    """Writes results in answers. A long one is translated once for all who ask meanwhile."""

    def __init__(self) -> None:
        self._sharing = Sharing[_Key, pb.Payload | None]()

    async def of(self, task: Task, result: bytes, payload_format: _Format) -> pb.Payload | None:
        """The result of a task; None if it takes too much in that form. Not to be changed."""
        size = to_translate(len(result), payload_format)
        if size <= LARGE_BYTES:
            return _translated(result, payload_format)
        key = (task.spec.uid, task.end_us, payload_format)
        return await self._sharing.of(
            key, lambda: off_loop(size, _translated, result, payload_format)
        )


def _translated(result: bytes, payload_format: _Format) -> pb.Payload | None:
    return json_bytes_to_payload(result, payload_format, max_size=MAX_ANSWERED_RESULT_BYTES)
