"""Whether failed_by counts the failed tasks right: a recount that needs no long script.

Failed tasks come and go while they are counted. So they are read twice, with their sequences.
If both readings are the same, these tasks, and if the indexes were as large in between, no
others, had failed all the time; then what failed_by said in between can be held against them.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from taskline_service.fsck.facts import Inspector, Repair
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.store import Keys, Redis
from taskline_service.task import ErrorType, TaskState

_PAGE = 500
_TRIES = 10


class Restless(Exception):
    """The failed tasks of a queue changed in every recount."""


@dataclass(slots=True)
class _Reading:
    """What is in the indexes of failed tasks."""

    size: int = 0
    # Of ids, states and sequences; the same for the same tasks in any order.
    digest: int = 0
    by_field: Counter[bytes] = field(default_factory=Counter)


class Recount:
    """Counts the failed tasks of one queue after the other."""

    def __init__(self, redis: Redis, keys: Keys, inspector: Inspector) -> None:
        self._redis = redis
        self._keys = keys
        self._inspector = inspector

    async def judge(
        self, queue: bytes, lines: Sequence[bytes], fields: Sequence[bytes]
    ) -> AsyncIterator[Offence]:
        """The counters of a queue that are wrong; `fields` are those that there are of it.

        Raises:
            Restless: It could not be told.
        """
        usual = {error_type.encode() + b":" + queue for error_type in ErrorType}
        for _ in range(_TRIES):
            before = await self._read(lines)
            asked = sorted({*usual, *fields, *before.by_field})
            (seen,) = await self._inspector.see("failed_by", [[asked, list(lines)]])
            if await self._read(lines) == before and seen.facts[1] == before.size:
                break
        else:
            raise Restless
        for name, counted in zip(asked, seen.facts[0], strict=True):
            number = before.by_field[name]
            if counted == (str(number).encode() if number else False):
                continue
            told = "is not counted" if counted is False else f"counts {shown(counted)}"
            mend = (
                (b"HSET", b"failed_by", name, str(number))
                if number
                else (b"HDEL", b"failed_by", name)
            )
            yield Offence(
                Invariant.FAILED_BY,
                f"counter {shown(name)}",
                f"{told}, and {number} tasks failed so",
                Repair(f"set it to {number}", seen, (mend,)),
            )

    async def _read(self, lines: Sequence[bytes]) -> _Reading:
        reading = _Reading()
        for line in lines:
            index = self._keys.prefix + b"i:" + TaskState.FAILED.encode() + b":" + line
            queue = line.partition(b":")[2]
            start = 0
            while ids := await self._redis.call(
                b"ZRANGE", index, str(start), str(start + _PAGE - 1)
            ):
                start += _PAGE
                for seen in await self._inspector.see("failed", ids):
                    state, error_type, _ = seen.facts
                    reading.size += 1
                    reading.digest += hash((seen.subject, seen.packed))
                    if state == TaskState.FAILED.encode() and error_type is not False:
                        reading.by_field[error_type + b":" + queue] += 1
        return reading
