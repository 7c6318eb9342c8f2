"""The Lua scripts: tables, what scripts share, and a file of lua/, made one."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

from taskline_service.store.fields import numbers_in_lua
from taskline_service.store.linking import linked
from taskline_service.task import EDGES, TERMINAL_STATES

_LUA = files("taskline_service.store") / "lua"
# What every script can have before it, in this order.
_SHARED = ("_prelude", "_soundness", "_statistics", "_history", "_moves")
# What some can have besides: those that read tasks, and those that check or mend a store.
_SHARED_BY_SOME = {
    "_reading": frozenset({"contents", "events", "get", "list"}),
    "_facts": frozenset({"inspect", "mend"}),
}


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis gets it."""

    source: str
    sha: str

    @classmethod
    def of(cls, source: str) -> Self:
        """With the digest that Redis knows it by."""
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def edges_in_lua() -> str:
    """task.EDGES as a Lua table, so that move() holds to it."""
    rows = (
        f"{state} = {{ {', '.join(f'{to} = true' for to in sorted(targets))} }}"
        for state, targets in EDGES.items()
    )
    return f"local EDGES = {{ {', '.join(rows)} }}\n"


def terminal_in_lua() -> str:
    """task.TERMINAL_STATES as a Lua table: EDGES does not tell which states are final."""
    return f"local TERMINAL = {{ {', '.join(f'{s} = true' for s in sorted(TERMINAL_STATES))} }}\n"


def with_shared(name: str, body: str) -> str:
    """A script of this name, and before it what it needs of what scripts share."""
    some = (part for part, users in _SHARED_BY_SOME.items() if name in users)
    tables = edges_in_lua(), terminal_in_lua(), numbers_in_lua()
    return linked(body, [*tables, *map(_read, (*_SHARED, *some))])


def _read(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text("utf-8")


SCRIPTS = {
    name: Script.of(with_shared(name, _read(name)))
    for name in sorted(entry.name.removesuffix(".lua") for entry in _LUA.iterdir())
    if not name.startswith("_")
}
