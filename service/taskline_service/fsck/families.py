"""The families of keys, by what follows the prefix, as lua/_prelude.lua lists them; their types
and lives."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from taskline_service.fsck.facts import Repair, Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.task import TaskState

_STATES = "|".join(TaskState)


@dataclass(frozen=True, slots=True)
class Family:
    """Keys that hold the same kind of thing."""

    pattern: re.Pattern[bytes]
    # None for any.
    type: bytes | None
    # Whether what comes after the colon is the id of the task that the key belongs to.
    owned: bool = False
    # Whether its members are ids of tasks.
    lists_tasks: bool = False
    # Seconds to live that are enough for whatever still needs such a key; None: it must stay.
    life: int | None = None


def _family(pattern: str, type: str | None, **traits: Any) -> Family:
    return Family(
        re.compile(pattern.encode(), re.DOTALL), None if type is None else type.encode(), **traits
    )


_FAMILIES = (
    _family("t:.+", "hash"),
    _family("[sreg]:.+", "string", owned=True),
    _family("a:.+", "list", owned=True),
    _family("h:.+", "stream", owned=True),
    _family(f"i:(?:{_STATES}):(?P<line>[^:]+:.+)", "zset", lists_tasks=True),
    _family("q:(?P<line>[^:]+:.+)", "zset", lists_tasks=True),
    _family("label:[^=]+=.*", "zset", lists_tasks=True),
    _family("due|queue_timeouts|leases|retention", "zset", lists_tasks=True),
    _family("ready|types_seen|workers", "zset"),
    _family("lines|paused", "set"),
    _family("types|failed_by|reclaiming", "hash"),
    _family("x:[tsregah]:.+", None, life=30 * 86_400),
    _family("rev|partitions", "string"),
    _family("log", "stream"),
    # A worker that lives writes it again every few seconds.
    _family("w:.+", "string", life=60),
    # Only for as long as a call may be repeated.
    _family("c:.+", "string", life=60),
    # The longest kept, with the width of its bucket, twice.
    _family("stats:[0-9]+:[0-9]+:.*", "hash", life=86_400 + 2 * 900),
)


def family_of(name: bytes) -> Family | None:
    """The family that a key belongs to; None if it is no key of ours."""
    return next((family for family in _FAMILIES if family.pattern.fullmatch(name)), None)


def task_id_of(name: bytes) -> bytes | None:
    """The task that a key is the record of; None if it is none."""
    return name.removeprefix(b"t:") if name.startswith(b"t:") else None


def is_record_set_apart(name: bytes) -> bool:
    """Whether a key was the record of a task, until a repair found it damaged."""
    return name.startswith(b"x:t:")


def line_of(name: bytes) -> bytes | None:
    """The line that a key belongs to."""
    family = family_of(name)
    found = family and family.pattern.fullmatch(name)
    return found["line"] if found and "line" in found.groupdict() else None


def lists_tasks(name: bytes) -> bool:
    """Whether the members of this key must be ids of tasks."""
    family = family_of(name)
    return family is not None and family.lists_tasks


def judge_key(seen: Seen) -> Iterator[Offence]:
    """What is wrong with a key as such."""
    name: bytes = seen.subject
    if seen.facts[0] == b"none":  # it went while we looked
        return
    family = family_of(name)
    if family is None:
        yield Offence(Invariant.KNOWN_KEY, f"key {shown(name)}", "is no key of the data model")
    else:
        yield from _judge_as(family, seen)


def _judge_as(family: Family, seen: Seen) -> Iterator[Offence]:
    name: bytes = seen.subject
    kind, expires, owner = seen.facts
    subject = f"key {shown(name)}"
    apart = Repair("set it apart", seen, apart=name) if owner == b"damaged" else None
    if family.owned and apart:
        detail = "belongs to a task whose record is damaged"
        yield Offence(Invariant.OWNER, subject, detail, apart)
        return
    if family.type is not None and kind != family.type:
        detail = f"is a {shown(kind)}, and should be a {shown(family.type)}"
        yield Offence(Invariant.KEY_TYPE, subject, detail, apart or _drop_foreign(name, seen))
        return
    if family.owned and not owner:
        drop = Repair("drop it", seen, ((b"DEL", name),))
        yield Offence(Invariant.OWNER, subject, "belongs to a task that has no record", drop)
        return
    if expires and family.life is None:
        keep = Repair("let it stay", seen, ((b"PERSIST", name),))
        yield Offence(Invariant.KEY_TTL, subject, "expires by itself, and must not", keep)
    elif family.life is not None and not expires:
        limit = Repair(
            f"let it expire in {family.life} s", seen, ((b"EXPIRE", name, str(family.life)),)
        )
        yield Offence(Invariant.KEY_TTL, subject, "never expires", limit)


def _drop_foreign(name: bytes, seen: Seen) -> Repair | None:
    """Whatever it is, it is nothing of ours: without it the moves it holds up can be made again.

    Not where it has taken the place of what the task itself is: that is for people to decide.
    """
    if name[:2] in (b"t:", b"s:", b"r:"):
        return None
    return Repair("drop it", seen, ((b"DEL", name),))
