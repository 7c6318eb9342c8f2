"""The log of all events, for those who have not heard them.

It tells what happened to which task, and when. What came with that, a result or a line that was
logged, is read from the task, and with the task it goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from taskline_service.store.changes import Message, add_content
from taskline_service.store.chunks import CONTENTS_PER_CALL, chunks
from taskline_service.store.keys import Keys
from taskline_service.store.redis import Redis

# Whether an event is wanted, by what the log tells of it.
Wanted = Callable[[dict[bytes, Any]], bool]

_PAGE = 100


class EventLog:
    """Reads what happened in a partition."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def present_revision(self) -> int:
        """How far the store is."""
        return int(await self._redis.call(b"GET", self._keys.revision) or 0)

    async def after(self, revision: int, wanted: Wanted, *, count: int = _PAGE) -> list[Message]:
        """The next messages after a revision that are kept, with the events that are wanted.

        Progress that later progress has replaced is left out, and of the lines and outputs of
        a task that are no longer kept all but the last: that one says that there is a gap.
        """
        start = f"{revision + 1}-0"
        entries = await self._redis.call(
            b"XRANGE", self._keys.log, start, b"+", b"COUNT", str(count)
        )
        messages = [Message.of(fields[1]) for _, fields in entries]
        chosen = [
            replace(message, events=[event for event in message.events if wanted(event[1])])
            for message in messages
        ]
        passed_over = await self._add_contents([f for m in chosen for _, f in m.events])
        return [
            replace(m, events=[event for event in m.events if id(event[1]) not in passed_over])
            for m in chosen
        ]

    async def _add_contents(self, events: Sequence[dict[bytes, Any]]) -> set[int]:
        """Read what came with these events; returns which of them to pass over."""
        passed_over, lost = set[int](), dict[bytes, int]()
        with_content = [fields for fields in events if _has_content(fields)]
        sizes = [fields.get(b"size", 0) for fields in with_content]
        for chunk in chunks(with_content, sizes, most=CONTENTS_PER_CALL):
            asked = [
                {name: fields[name] for name in (b"id", b"seq", b"at", b"kind")} for fields in chunk
            ]
            contents = await self._redis.script("contents", self._keys.prefix, {"events": asked})
            for fields, content in zip(chunk, contents, strict=True):
                add_content(fields, content)
                if content is not False:
                    continue
                if fields[b"kind"] == b"progress":
                    passed_over.add(id(fields))
                elif fields[b"kind"] in (b"log", b"output"):
                    if fields[b"id"] in lost:
                        passed_over.add(lost[fields[b"id"]])
                    lost[fields[b"id"]] = id(fields)
        return passed_over


def _has_content(fields: dict[bytes, Any]) -> bool:
    return bool(fields[b"kind"] != b"state" or fields[b"state"] == b"RETRYING")
