"""Goes through a whole store, in bounded steps and beside everything else that happens there."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

from taskline_service.fsck import families
from taskline_service.fsck.contents import judge_attempts
from taskline_service.fsck.facts import Inspector, Seen
from taskline_service.fsck.failures import Recount, Restless
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.lines import judge_line, judge_log, judge_task_type
from taskline_service.fsck.members import judge_member
from taskline_service.fsck.partitions import judge_number, judge_partition
from taskline_service.fsck.records import judge_task
from taskline_service.fsck.report import Findings, Offence, Report, shown
from taskline_service.fsck.scanning import Scanner, all_of
from taskline_service.fsck.task_facts import TaskFacts
from taskline_service.limits import MAX_LOST
from taskline_service.store import Keys, Redis

# Offences that a report tells; it counts all of them.
TOLD = 1000


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
    check, findings = Check(redis, keys, max_lost=max_lost), Findings(told)
    async for offence in check.offences():
        findings.add(offence)
    return check.report(findings)


class Check:
    """One walk through a namespace."""

    def __init__(self, redis: Redis, keys: Keys, *, max_lost: int) -> None:
        self._redis = redis
        self._keys = keys
        self._max_lost = max_lost
        self._inspector = Inspector(redis, keys)
        self._scanner = Scanner(redis, keys)
        self._tasks = 0
        self._seen_keys = 0
        self._set_apart = 0
        # Lines that keys were seen of.
        self._lines = set[bytes]()
        # Tasks of the page whose earlier attempts are yet to be judged.
        self._retried = list[bytes]()
        self._misindexed = False
        self._undecided = list[str]()

    def report(self, findings: Findings) -> Report:
        """What was found, after all of it was."""
        return Report(
            tasks=self._tasks,
            keys=self._seen_keys,
            set_apart=self._set_apart,
            total=findings.total,
            offences=findings.offences,
            undecided=tuple(self._undecided),
        )

    async def offences(self) -> AsyncIterator[Offence]:
        """Every offence there is, as it is found."""
        async for names in self._scanner.keys():
            async for offence in self._judge_keys(names):
                self._misindexed |= offence.invariant is Invariant.STATE_INDEX
                yield offence
        for part in (
            self._judge_lines,
            self._judge_types,
            self._judge_log,
            self._judge_failures,
            self._judge_partitions,
        ):
            async for offence in part():
                yield offence

    async def _judge_keys(self, names: Sequence[bytes]) -> AsyncIterator[Offence]:
        self._seen_keys += len(names)
        self._set_apart += sum(map(families.is_record_set_apart, names))
        self._lines.update(line for name in names if (line := families.line_of(name)))
        tasks = [task_id for name in names if (task_id := families.task_id_of(name))]
        async for offence in self._judge("key", names, families.judge_key):
            yield offence
        async for offence in self._judge("task", tasks, self._judge_task):
            yield offence
        retried, self._retried = self._retried, []
        async for offence in self._judge("attempts", retried, judge_attempts):
            yield offence
        listing = [name for name in names if families.lists_tasks(name)]
        async for page in self._scanner.members_of_zsets(listing):
            async for offence in self._judge("member", page, judge_member):
                yield offence

    def _judge_task(self, seen: Seen) -> Iterator[Offence]:
        if (task := TaskFacts.of(seen)) is not None:
            self._tasks += 1
            if task.attempts_kept:
                self._retried.append(task.id)
            yield from judge_task(task, max_lost=self._max_lost)
            yield from judge_partition(task.id, self._keys)

    async def _judge_lines(self) -> AsyncIterator[Offence]:
        known = await all_of(self._scanner.members_of_set(b"lines"))
        ready = await all_of(self._scanner.members_of_zset(b"ready"))
        lines = sorted(self._lines | known | ready)
        async for offence in self._judge("line", lines, judge_line):
            yield offence

    async def _judge_types(self) -> AsyncIterator[Offence]:
        published = await all_of(self._scanner.fields_of_hash(b"types"))
        seen_types = await all_of(self._scanner.members_of_zset(b"types_seen"))
        seconds, us = await self._redis.call(b"TIME")
        judge = partial(judge_task_type, time_us=int(seconds) * 1_000_000 + int(us))
        async for offence in self._judge("task_type", sorted(published | seen_types), judge):
            yield offence

    async def _judge_log(self) -> AsyncIterator[Offence]:
        async for offence in self._judge("log", [b""], judge_log):
            yield offence

    async def _judge_partitions(self) -> AsyncIterator[Offence]:
        for offence in judge_number(await self._scanner.text(b"partitions"), self._keys):
            yield offence

    async def _judge_failures(self) -> AsyncIterator[Offence]:
        if self._misindexed:
            self._undecided.append("failed_by: counts what the indexes have, which are wrong")
            return
        recount = Recount(self._redis, self._keys, self._lines)
        for queue in await recount.queues():
            try:
                async for offence in recount.judge(queue):
                    yield offence
            except Restless:
                self._undecided.append(f"failed_by of queue {shown(queue)}: changes all the time")

    async def _judge(
        self, kind: str, subjects: Sequence[Any], judge: Callable[[Seen], Iterator[Offence]]
    ) -> AsyncIterator[Offence]:
        for seen in await self._inspector.see(kind, subjects):
            for offence in judge(seen):
                yield offence
