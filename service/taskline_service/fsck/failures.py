"""Whether failed_by counts the failed tasks right: a recount that needs no long script.

Failed tasks come and go while they are counted. So they are read twice, with their sequences.
If both readings are the same, these tasks, and if the indexes were as large in between, no
others, had failed all the time; then what failed_by said in between can be held against them.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

from taskline_service.fsck.facts import Inspector, Repair, Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.fsck.scanning import Scanner, all_of
from taskline_service.store import Keys, Redis
from taskline_service.task import ErrorType, TaskState

_PAGE = 500
_TRIES = 10
_FAILED = TaskState.FAILED.encode()


class Restless(Exception):
    """The failed tasks of a queue changed in every recount."""


@dataclass(slots=True)
class _Reading:
    """What is in the indexes of failed tasks."""

    size: int = 0
    # Of ids, states, error types and sequences; the same for the same tasks in any order.
    digest: int = 0
    by_field: Counter[bytes] = field(default_factory=Counter)


class Recount:
    """Counts the failed tasks of one queue after the other."""

    def __init__(self, redis: Redis, keys: Keys, lines: Iterable[bytes]) -> None:
        self._redis = redis
        self._keys = keys
        self._inspector = Inspector(redis, keys)
        self._scanner = Scanner(redis, keys)
        # Those that the store does not know of are counted too.
        self._lines = set(lines)
        self._known = 0
        self._fields = set[bytes]()

    async def queues(self) -> list[bytes]:
        """Those that have lines or counters."""
        self._fields = await all_of(self._scanner.fields_of_hash(b"failed_by"))
        await self._read_lines()
        return sorted({_queue_of(name) for name in self._fields | self._lines})

    async def judge(self, queue: bytes) -> AsyncIterator[Offence]:
        """The counters of a queue that are wrong.

        Raises:
            Restless: It could not be told.
        """
        usual = {error_type.encode() + b":" + queue for error_type in ErrorType}
        usual |= {name for name in self._fields if _queue_of(name) == queue}
        for _ in range(_TRIES):
            lines = sorted(line for line in self._lines if _queue_of(line) == queue)
            before = await self._read(lines)
            fields = sorted({*usual, *before.by_field})
            (seen,) = await self._inspector.see("failed_by", [[fields, lines]])
            _, size, known = seen.facts
            if known != self._known:
                await self._read_lines()
            elif size == before.size and await self._read(lines) == before:
                for offence in _compare(seen, before.by_field):
                    yield offence
                return
        raise Restless

    async def _read_lines(self) -> None:
        known = await all_of(self._scanner.members_of_set(b"lines"))
        self._known = len(known)
        self._lines |= known

    async def _read(self, lines: Iterable[bytes]) -> _Reading:
        reading = _Reading()
        for line in lines:
            async for page in self._failed(line):
                for seen in await self._inspector.see("failed", page):
                    state, error_type, _ = seen.facts
                    reading.size += 1
                    reading.digest += hash((seen.subject, seen.packed))
                    if state == _FAILED and error_type is not False:
                        reading.by_field[error_type + b":" + _queue_of(line)] += 1
        return reading

    async def _failed(self, line: bytes) -> AsyncIterator[list[bytes]]:
        """By rank, not by SCAN, which may give a task twice."""
        index = self._keys.prefix + b"i:" + _FAILED + b":" + line
        start = 0
        while True:
            page = await self._redis.call(b"ZRANGE", index, str(start), str(start + _PAGE - 1))
            if not page:
                return
            yield page
            start += _PAGE


def _queue_of(name: bytes) -> bytes:
    """Of a line, or of a field of failed_by."""
    return name.partition(b":")[2]


def _compare(seen: Seen, numbers: Counter[bytes]) -> Iterator[Offence]:
    fields, _ = seen.subject
    # None are there if the key is of another type, which its own check tells.
    for name, counted in zip(fields, seen.facts[0], strict=False):
        number = numbers[name]
        text = str(number)
        if counted == (text.encode() if number else False):
            continue
        told = "is not counted" if counted is False else f"counts {shown(counted)}"
        command = (b"HSET", b"failed_by", name, text) if number else (b"HDEL", b"failed_by", name)
        yield Offence(
            Invariant.FAILED_BY,
            f"counter {shown(name)}",
            f"{told}, and {text} tasks failed so",
            Repair(f"set it to {text}", seen, (command,)),
        )
