"""The Lua scripts: the prelude, the table of moves and a file of lua/, made one."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from taskline_service.task import EDGES, TERMINAL_STATES

_LUA = files("taskline_service.store") / "lua"
# Scripts that read tasks share how that is done.
_READING = frozenset({"events", "get", "list"})


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis gets it."""

    source: str
    sha: str


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


def _load(name: str) -> Script:
    parts = ["_prelude", "_reading", name] if name in _READING else ["_prelude", name]
    tables = edges_in_lua() + terminal_in_lua()
    source = tables + "".join((_LUA / f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


SCRIPTS = {
    name: _load(name)
    for name in sorted(entry.name.removesuffix(".lua") for entry in _LUA.iterdir())
    if not name.startswith("_")
}
