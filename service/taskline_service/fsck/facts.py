"""Reads facts about a store, and mends it where they still hold; lua/_facts.lua tells them.

Facts about one thing are of one instant, however busy the store is. So what contradicts
itself in them is wrong, and needs no second look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taskline_service.store import Keys, Redis
from taskline_service.store.records import unpack

# Keeps a script call so short that others do not notice. Earlier attempts come with their
# tracebacks, which can be a megabyte for one task.
_PER_CALL = 50
_ATTEMPTS_PER_CALL = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """Facts about one thing."""

    kind: str
    subject: Any
    packed: bytes

    @property
    def facts(self) -> Any:
        """As the script tells them, text as bytes; False if there is no such thing."""
        return unpack(self.packed)


@dataclass(frozen=True, slots=True)
class Repair:
    """What mends an offence, if nothing has changed since it was seen."""

    text: str
    seen: Seen
    # Each a command, the key after the prefix, and arguments.
    commands: tuple[tuple[bytes | str, ...], ...] = ()
    # Its first task may be another one afterwards.
    line: bytes | None = None
    # A key of a damaged record, to be kept where nothing looks for it.
    apart: bytes | None = None

    def __str__(self) -> str:
        return self.text


class Inspector:
    """Looks at one namespace of a store."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def see(self, kind: str, subjects: Sequence[Any]) -> list[Seen]:
        """The facts about things of one kind, in their order."""
        seen = list[Seen]()
        step = _ATTEMPTS_PER_CALL if kind == "attempts" else _PER_CALL
        for start in range(0, len(subjects), step):
            chunk = list(subjects[start : start + step])
            args = {"kind": kind, "subjects": chunk}
            reply = await self._redis.script("inspect", self._keys.prefix, args)
            seen += [Seen(kind, *pair) for pair in zip(chunk, reply, strict=True)]
        return seen

    async def mend(self, repair: Repair) -> bool:
        """Make a repair; False if what it is about has changed meanwhile.

        Raises:
            StoreDamaged: The store does not take it, because a key has the wrong type.
        """
        args = {
            "kind": repair.seen.kind,
            "subject": repair.seen.subject,
            "seen": repair.seen.packed,
            "commands": repair.commands,
            "line": repair.line,
            "apart": repair.apart,
        }
        return bool(await self._redis.script("mend", self._keys.prefix, args))
