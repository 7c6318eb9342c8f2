"""Looks at the keys that tests leave behind, and at what is in them."""

from collections.abc import Iterator

from taskline_service.store import Keys, Redis


async def all_keys(redis: Redis, keys: Keys) -> list[str]:
    """The keys of this namespace, without their prefix, but for those that soon go by themselves:
    statistics of the day, what workers were given last, and when leases were looked at.
    """
    passing = ("stats:", "c:", "reclaiming")
    return [key for key in await _names(redis, keys) if not key.startswith(passing)]


async def _names(redis: Redis, keys: Keys) -> list[str]:
    found: list[bytes] = await redis.call(b"KEYS", keys.prefix + b"*")
    return sorted(key.removeprefix(keys.prefix).decode() for key in found)


# What a key of each type holds, as lists of texts.
_CONTENTS: dict[bytes, tuple[bytes, ...]] = {
    b"string": (b"GET",),
    b"hash": (b"HGETALL",),
    b"list": (b"LRANGE", b"0", b"-1"),
    b"set": (b"SMEMBERS",),
    b"zset": (b"ZRANGE", b"0", b"-1"),
    b"stream": (b"XRANGE", b"-", b"+"),
}


async def keys_that_tell(
    redis: Redis, keys: Keys, *texts: str, given_last: bool = False
) -> set[str]:
    """The keys whose name or content has one of these texts; only if asked, with what workers were
    given last, which goes by itself within a minute.
    """
    telling = set[str]()
    for name in await _names(redis, keys):
        key = keys.prefix + name.encode()
        kind = await redis.call(b"TYPE", key)
        if kind == b"none" or (name.startswith("c:") and not given_last):
            continue
        command, *rest = _CONTENTS[kind]
        told = [name.encode(), await redis.call(command, key, *rest)]
        if any(text.encode() in whole for text in texts for whole in _flat(told)):
            telling.add(name)
    return telling


def _flat(value: object) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _flat(item)


async def remove_keys(redis: Redis, keys: Keys) -> None:
    """Leave nothing of this namespace."""
    found: list[bytes] = await redis.call(b"KEYS", keys.prefix + b"*")
    for start in range(0, len(found), 500):
        await redis.call(b"DEL", *found[start : start + 500])
