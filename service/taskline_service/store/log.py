"""The log of all events, for those who have not heard them.

It tells what happened to which task, and when. What came with that, a result or a line that was
logged, is read from the task, and with the task it goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from taskline_service.store.changes import Message, add_content
from taskline_service.store.chunks import CONTENTS_PER_CALL, chunks
from taskline_service.store.damage import UNREADABLE, PassedOver, key_of
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
        self.unreadable = PassedOver()

    async def present_revision(self) -> int:
        """How far the store is."""
        with key_of(self._keys.revision):
            return int(await self._redis.call(b"GET", self._keys.revision) or 0)

    async def after(self, revision: int, wanted: Wanted, *, count: int = _PAGE) -> list[Message]:
        """The next messages after a revision that are kept, with the events that are wanted.

        Progress that later progress has replaced is left out. What came with a line or an
        output that is no longer kept is None.
        """
        start = f"{revision + 1}-0"
        entries = await self._redis.call(
            b"XRANGE", self._keys.log, start, b"+", b"COUNT", str(count)
        )
        chosen = [
            _chosen(self._message(*entry), lambda _, fields: wanted(fields)) for entry in entries
        ]
        passed_over = await self._add_contents([f for m in chosen for _, f in m.events or ()])
        return [_chosen(m, lambda _, fields: id(fields) not in passed_over) for m in chosen]

    def _message(self, entry_id: bytes, fields: list[bytes]) -> Message:
        """What an entry says; if that cannot be understood, a message without events."""
        revision = int(entry_id.split(b"-")[0])
        try:
            message = Message.of(fields[1])
            if message.revision != revision:
                raise ValueError(message.revision)
        except UNREADABLE as error:
            self.unreadable.found(f"revision {revision} in the log of events", error)
            return Message(revision, None)
        return message

    async def _add_contents(self, events: Sequence[dict[bytes, Any]]) -> set[int]:
        """Read what came with these events; returns which of them to pass over."""
        passed_over = set[int]()
        with_content = [fields for fields in events if _has_content(fields)]
        sizes = [fields.get(b"size", 0) for fields in with_content]
        for chunk in chunks(with_content, sizes, most=CONTENTS_PER_CALL):
            asked = [
                {name: fields[name] for name in (b"id", b"seq", b"at", b"kind")} for fields in chunk
            ]
            contents = await self._redis.script("contents", self._keys.prefix, {"events": asked})
            for fields, content in zip(chunk, contents, strict=True):
                add_content(fields, content)
                if content is False and fields[b"kind"] == b"progress":
                    passed_over.add(id(fields))
        return passed_over


def _chosen(message: Message, wanted: Callable[[int, dict[bytes, Any]], bool]) -> Message:
    if message.events is None:
        return message
    return replace(message, events=[event for event in message.events if wanted(*event)])


def _has_content(fields: dict[bytes, Any]) -> bool:
    kind, numbers = fields.get(b"kind"), (fields.get(b"seq"), fields.get(b"at"))
    if not isinstance(kind, bytes) or not all(isinstance(number, int) for number in numbers):
        return False  # it cannot be understood
    return kind != b"state" or fields.get(b"state") == b"RETRYING"
