"""Goes through a whole store, in bounded steps and beside everything else that happens there."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from taskline_service.fsck import families
from taskline_service.fsck.facts import Inspector, Seen
from taskline_service.fsck.failures import Recount, Restless
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.lines import judge_line, judge_log, judge_task_type
from taskline_service.fsck.members import judge_member
from taskline_service.fsck.records import TaskFacts, judge_task
from taskline_service.fsck.report import Offence, Report, shown
from taskline_service.store import Keys, Redis, StoreError
from taskline_service.store.scripted import MAX_LOST

# Offences that a report tells; it counts all of them.
TOLD = 1000
# Keys or members that the store is asked for at a time.
_PAGE = 500


async def check_store(
    redis: Redis, keys: Keys, *, max_lost: int = MAX_LOST, told: int = TOLD
) -> Report:
    """Check every invariant of a namespace; changes nothing.

    The store may be in use: what goes on there is not taken for an offence.

    Args:
        redis: Where the store is.
        keys: Of the namespace.
        max_lost: How many workers a task may lose.
        told: How many offences the report has at most.
    """
    check = Check(redis, keys, max_lost=max_lost)
    # A task may be come across twice, so the same may be found again.
    offences = dict[str, Offence]()
    total = 0
    async for offence in check.offences():
        text = str(offence)
        total += text not in offences
        if len(offences) < told:
            offences.setdefault(text, offence)
    return check.report(total, tuple(offences.values()))


class Check:
    """One walk through a namespace."""

    def __init__(self, redis: Redis, keys: Keys, *, max_lost: int) -> None:
        self._redis = redis
        self._keys = keys
        self._max_lost = max_lost
        self._inspector = Inspector(redis, keys)
        self._tasks = 0
        self._seen_keys = 0
        # Lines that keys were seen of.
        self._lines = set[bytes]()
        self._misindexed = False
        self._undecided = list[str]()

    def report(self, total: int, offences: tuple[Offence, ...]) -> Report:
        """What was found, when all offences have been."""
        return Report(
            tasks=self._tasks,
            keys=self._seen_keys,
            total=total,
            offences=offences,
            undecided=tuple(self._undecided),
        )

    async def offences(self) -> AsyncIterator[Offence]:
        """Every offence there is, as it is found; some may come again."""
        async for names in self._pages(b"SCAN", match=self._keys.prefix + b"*"):
            async for offence in self._judge_keys([n[len(self._keys.prefix) :] for n in names]):
                self._misindexed |= offence.invariant is Invariant.STATE_INDEX
                yield offence
        async for offence in self._judge_lines():
            yield offence
        async for offence in self._judge_counters():
            yield offence

    async def _judge_keys(self, names: Sequence[bytes]) -> AsyncIterator[Offence]:
        self._seen_keys += len(names)
        self._lines.update(line for name in names if (line := families.line_of(name)))
        tasks = [task_id for name in names if (task_id := families.task_id_of(name))]
        async for offence in self._judge("key", names, families.judge_key):
            yield offence
        async for offence in self._judge("task", tasks, self._judge_task):
            yield offence
        for name in names:
            if families.lists_tasks(name):
                async for offence in self._judge_members(name):
                    yield offence

    def _judge_task(self, seen: Seen) -> Iterator[Offence]:
        if (task := TaskFacts.of(seen)) is not None:
            self._tasks += 1
            yield from judge_task(task, max_lost=self._max_lost)

    async def _judge_members(self, name: bytes) -> AsyncIterator[Offence]:
        with_spec = name.startswith(b"label:")
        async for page in self._pages(b"ZSCAN", self._keys.prefix + name):
            subjects = [[name, member, with_spec] for member in page[::2]]
            async for offence in self._judge("member", subjects, judge_member):
                yield offence

    async def _judge_lines(self) -> AsyncIterator[Offence]:
        with_tasks = frozenset(self._lines)
        async for page in self._pages(b"SSCAN", self._keys.prefix + b"lines"):
            self._lines.update(page)
        ready = {
            line
            async for page in self._pages(b"ZSCAN", self._keys.prefix + b"ready")
            for line in page[::2]
        }

        def judge(seen: Seen) -> Iterator[Offence]:
            return judge_line(seen, has_tasks=seen.subject in with_tasks)

        async for offence in self._judge("line", sorted(self._lines | ready), judge):
            yield offence

    async def _judge_counters(self) -> AsyncIterator[Offence]:
        async for offence in self._judge("log", [b""], judge_log):
            yield offence
        types = await self._members(b"HSCAN", b"types") | await self._members(
            b"ZSCAN", b"types_seen"
        )
        seconds, us = await self._redis.call(b"TIME")
        time_us = int(seconds) * 1_000_000 + int(us)

        def judge(seen: Seen) -> Iterator[Offence]:
            return judge_task_type(seen, time_us=time_us)

        async for offence in self._judge("task_type", sorted(types), judge):
            yield offence
        async for offence in self._judge_failures():
            yield offence

    async def _judge_failures(self) -> AsyncIterator[Offence]:
        if self._misindexed:
            self._undecided.append("failed_by: counts what the indexes have, which are wrong")
            return
        lines = dict[bytes, list[bytes]]()
        fields = dict[bytes, list[bytes]]()
        for grouped, names in (
            (lines, self._lines),
            (fields, await self._members(b"HSCAN", b"failed_by")),
        ):
            for name in names:
                grouped.setdefault(name.partition(b":")[2], []).append(name)
        recount = Recount(self._redis, self._keys, self._inspector)
        for queue in sorted(lines.keys() | fields.keys()):
            try:
                async for offence in recount.judge(
                    queue, sorted(lines.get(queue, [])), fields.get(queue, [])
                ):
                    yield offence
            except Restless:
                self._undecided.append(f"failed_by of queue {shown(queue)}: changes all the time")

    async def _judge(
        self, kind: str, subjects: Sequence[Any], judge: Callable[[Seen], Iterator[Offence]]
    ) -> AsyncIterator[Offence]:
        for seen in await self._inspector.see(kind, subjects):
            for offence in judge(seen):
                yield offence

    async def _members(self, command: bytes, name: bytes) -> set[bytes]:
        """The fields of a hash, or the members of a sorted set."""
        key = self._keys.prefix + name
        return {member async for page in self._pages(command, key) for member in page[::2]}

    async def _pages(
        self, command: bytes, *key: bytes, match: bytes | None = None
    ) -> AsyncIterator[list[bytes]]:
        """What one of the SCAN commands goes through."""
        cursor = b"0"
        only = (b"MATCH", match) if match is not None else ()
        while True:
            step = (command, *key, cursor, *only, b"COUNT", str(_PAGE))
            try:
                cursor, page = await self._redis.call(*step)
            except StoreError as error:
                if not str(error).startswith("WRONGTYPE"):
                    raise
                return  # the key's own check tells that
            yield page
            if cursor == b"0":
                return
