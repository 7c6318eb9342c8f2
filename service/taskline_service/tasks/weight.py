"""How large a value is before it is written down. Pure."""

from typing import Any

from taskline_service.limits import MAX_JSON_DEPTH

# To look at so many parts takes one or two milliseconds.
_PARTS_LOOKED_AT = 1_000
# Others may write themselves as they like.
_CONTAINERS = (dict, list, tuple)


def least_size(value: Any, limit: int) -> int:
    """How many bytes of JSON a value takes at least; counts no further than `limit`.

    What contains itself, or is nested too deep to be written, counts nothing within itself.
    """
    return _least_size(value, limit, set())


def _least_size(item: Any, limit: int, above: set[int]) -> int:
    size = _own_size(item)
    if size > limit or type(item) not in _CONTAINERS:
        return size
    if id(item) in above or len(above) > MAX_JSON_DEPTH:
        return 0
    above.add(id(item))
    for part in item.values() if type(item) is dict else item:
        kind = type(part)
        if kind in _CONTAINERS:
            size += _least_size(part, limit - size, above)
        else:
            size += len(part) + 2 if kind is str else 1
        if size > limit:
            break
    above.remove(id(item))
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
    size = _own_size(item)
    if size <= left and type(item) in _CONTAINERS:
        pending.extend(item.values() if type(item) is dict else item)
    return size


def _own_size(item: Any) -> int:
    """What an item takes beside its parts."""
    kind = type(item)
    if kind is str:
        return len(item) + 2
    if kind is dict:
        return 4 * len(item) + 1
    return len(item) + 1 if kind in _CONTAINERS else 1
