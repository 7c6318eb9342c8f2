"""Pages that no client refuses for their size."""

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import Message

from taskline_service.limits import MAX_PAGE_BYTES

_M = TypeVar("_M", bound=Message)


def that_fit(messages: Iterable[_M], *, used: int = 0) -> list[_M]:
    """The first of these messages, as many as one answer has room for; never none.

    `used` is what else is in the answer, in bytes. No more messages are made than are needed.
    """
    fitting, size = list[_M](), used
    for message in messages:
        size += message.ByteSize()
        if fitting and size > MAX_PAGE_BYTES:
            break
        fitting.append(message)
    return fitting
