"""The beginning of a big value, so that telling what is wrong with it stays cheap.

Naming one fault may cost 10 µs, and a megabyte has room for a quarter of a million.
"""

from dataclasses import dataclass, field
from typing import Any

from taskline_service.tasks.paths import Path


@dataclass(slots=True)
class Excerpt:
    """A copy of a value, and where parts of it were left out."""

    room: int
    value: Any = None
    cut: list[Path] = field(default_factory=list)

    def may_blame(self, path: Path) -> bool:
        """Whether what is wrong there cannot come from what was left out."""
        return not any(place[: len(path)] == path for place in self.cut)


def excerpt(value: Any, *, parts: int) -> Excerpt:
    """A copy with at most so many members and items."""
    result = Excerpt(parts)
    result.value = _copied(value, (), result)
    return result


def _copied(value: Any, path: Path, into: Excerpt) -> Any:
    if not isinstance(value, (dict, list)):
        return value
    room = into.room
    into.room = max(0, room - len(value))
    if len(value) > room:
        into.cut.append(path)
    if isinstance(value, dict):
        members = list(value.items())[:room]
        return {key: _copied(part, (*path, key), into) for key, part in members}
    return [_copied(part, (*path, index), into) for index, part in enumerate(value[:room])]
