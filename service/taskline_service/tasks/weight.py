"""How large a value is before it is written down. Pure."""

from typing import Any

# To look at so many parts takes one or two milliseconds.
_PARTS_LOOKED_AT = 1_000


def least_size(value: Any, limit: int) -> int:
    """How many bytes of JSON a value takes at least; counts no further than `limit`."""
    pending, size = [value], 0
    while pending and size <= limit:
        size += _enter(pending.pop(), pending, limit - size)
    return size


def is_large(value: Any, limit: int) -> bool:
    """Whether a value probably takes more than `limit` bytes of JSON; decided at once."""
    pending, size, parts = [value], 0, 0
    while pending and size <= limit and parts <= _PARTS_LOOKED_AT:
        item = pending.pop()
        size += _enter(item, pending, limit - size)
        if (attributes := getattr(item, "__dict__", None)) and not isinstance(item, type):
            pending.append(attributes)
        parts += 1
    return bool(pending)


def _enter(item: Any, pending: list[Any], left: int) -> int:
    """What an item takes beside its parts, which are added to what is pending if they count."""
    kind = type(item)  # others may write themselves as they like
    if kind is str:
        return len(item) + 2
    if kind is list or kind is tuple:
        size = len(item) + 1
        if size <= left:
            pending.extend(item)
        return size
    if kind is dict:
        size = 4 * len(item) + 1
        if size <= left:
            pending.extend(item.values())
        return size
    return 1
