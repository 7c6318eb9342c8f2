"""How a place within a JSON value is written: input.boxes[2].x"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

Path = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_KEY_CHARACTERS = 64


def written(root: str, path: Iterable[str | int]) -> str:
    """The path in words; keys that would be ambiguous are quoted."""
    return root + "".join(_step(part) for part in path)


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _PLAIN.fullmatch(part):
        return f".{part}"
    return f"[{json.dumps(part[:_MAX_KEY_CHARACTERS])}]"


def order(path: Path) -> list[tuple[bool, int, str]]:
    """A sort key: list positions by number, members by name."""
    return [(True, part, "") if isinstance(part, int) else (False, 0, part) for part in path]


def located(root: Any, reported: Sequence[str | int], part: Any) -> Path:
    """The true path to `part`, where the validator reports a lossy one.

    It reports members whose names are digits as positions, and leaves out empty names.
    """
    path: list[str | int] = []
    node = root
    for step in reported:
        while isinstance(node, dict) and _member(node, step) is None and "" in node:
            path.append("")
            node = node[""]
        key = _member(node, step) if isinstance(node, dict) else step
        if key is None:
            return tuple(path)
        path.append(key)
        node = node[key]
    while isinstance(node, dict) and "" in node and node != part:
        path.append("")
        node = node[""]
    return tuple(path)


def _member(node: dict[str, Any], step: str | int) -> str | None:
    if isinstance(step, str) or str(step) in node:
        return str(step) if str(step) in node else None
    return next((key for key in node if key.isdecimal() and int(key) == step), None)
