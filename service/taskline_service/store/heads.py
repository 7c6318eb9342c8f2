"""A page of a list, merged from what lua/list.lua tells of some lines at a time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# By creation time in microseconds, ties by id: the order of every list.
_Place = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Heads:
    """The next records of a list, in its order; `after` is where to go on, None at its end."""

    records: list[dict[bytes, Any]]
    total: int | None
    revision: int
    after: tuple[int, str] | None


def merged(replies: Sequence[dict[bytes, Any]], *, count: int, newest_first: bool) -> Heads:
    """At most `count` records, up to where all replies are complete.

    A task stays on its line, so that it is in one of them and no other.
    """
    ends = [_place_of(reply[b"after"]) for reply in replies if b"after" in reply]
    end = (max if newest_first else min)(ends) if ends else None
    records = [record for reply in replies for record in reply[b"records"]]
    records.sort(key=_place_of, reverse=newest_first)
    if end is not None:
        records = [
            r for r in records if (_place_of(r) >= end if newest_first else _place_of(r) <= end)
        ]
    if len(records) > count:
        records = records[:count]
        end = _place_of(records[-1])
    totals = [int(reply[b"total"]) for reply in replies if b"total" in reply]
    return Heads(
        records=records,
        total=sum(totals) if len(totals) == len(replies) else None,
        revision=replies[0][b"rev"],
        after=end and (end[0], end[1].decode()),
    )


def _place_of(entry: dict[bytes, Any]) -> _Place:
    return entry[b"create"], entry[b"id"]
