"""Looks at the keys that tests leave behind."""

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


async def remove_keys(redis: Redis, keys: Keys) -> None:
    """Leave nothing of this namespace."""
    found: list[bytes] = await redis.call(b"KEYS", keys.prefix + b"*")
    for start in range(0, len(found), 500):
        await redis.call(b"DEL", *found[start : start + 500])
