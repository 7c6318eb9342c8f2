"""The moves of tasks and the reading of tasks over several partitions."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from taskline_service.queue_order import EVERY_QUEUE, QueueChoice
from taskline_service.store.accepting import accepted
from taskline_service.store.changes import Event
from taskline_service.store.chunks import LONG_MOVES_PER_CALL, MOVES_PER_CALL
from taskline_service.store.partitioned.by_partition import ByPartition, at_once
from taskline_service.store.partitioned.pages import merged
from taskline_service.store.scripted import new_call
from taskline_service.store.store import TaskStore
from taskline_service.store.story import Story
from taskline_service.store.values import (
    Claimed,
    Completion,
    Enqueued,
    EnqueueStatus,
    Failure,
    ListQuery,
    LogLine,
    NewTask,
    Output,
    Reclaimed,
    TaskPage,
    Upkept,
    Verdict,
)
from taskline_service.task import Claim, Progress, Task, TaskState

_NOWHERE: Mapping[str, int] = {}
_NEW = frozenset({EnqueueStatus.CREATED, EnqueueStatus.REPLACED})


class PartitionedStore(TaskStore):
    """The same as the store of one partition, over several.

    What is about one task goes to its partition, and what is about many to all that have some of
    them, at once: so it is of one instant within each partition, not over all.
    """

    def __init__(self, partitions: Sequence[TaskStore]) -> None:
        first = partitions[0]
        super().__init__(
            first.redis,
            first.keys,
            result_ttl=first.result_ttl,
            record_ttl=first.record_ttl,
            max_queued=first.max_queued,
            max_lines=first.max_lines,
        )
        self._partitions = ByPartition(partitions)

    @property
    def partitions(self) -> Sequence[TaskStore]:
        """The stores of its partitions."""
        return tuple(self._partitions)

    # Accepting tasks

    async def enqueue(
        self,
        tasks: Sequence[NewTask],
        *,
        partial: bool = False,
        elsewhere: Mapping[str, int] = _NOWHERE,
    ) -> list[Enqueued]:
        """Accept tasks, in order within each partition; none if one is refused, unless `partial`.

        Those of several partitions are checked first, as those of several steps are.
        """
        several = len(self._partitions.divided(new.spec.id for new in tasks)) > 1
        if several and not partial:
            checked = await self.check(tasks, elsewhere=elsewhere)
            if not accepted(checked):
                return checked
        return await self._accept(
            tasks,
            lambda store, own, waiting: store.enqueue(own, partial=partial, elsewhere=waiting),
            elsewhere,
        )

    async def check(
        self, tasks: Sequence[NewTask], *, elsewhere: Mapping[str, int] = _NOWHERE
    ) -> list[Enqueued]:
        """What `enqueue` would answer; changes nothing."""
        return await self._accept(
            tasks, lambda store, own, waiting: store.check(own, elsewhere=waiting), elsewhere
        )

    async def _accept(
        self,
        tasks: Sequence[NewTask],
        act: Callable[[TaskStore, list[NewTask], Mapping[str, int]], Awaitable[list[Enqueued]]],
        elsewhere: Mapping[str, int],
    ) -> list[Enqueued]:
        """One partition after the other where queues are limited: each counts for the next."""
        if not self.max_queued:
            return await self._partitions.each(
                tasks, _id_of_new, lambda store, own: act(store, own, elsewhere)
            )
        queues = {new.spec.queue for new in tasks}
        waiting = dict(
            zip(
                self._partitions,
                await at_once(store.waiting(queues) for store in self._partitions),
                strict=True,
            )
        )
        found = dict[int, Enqueued]()
        for store, places in self._partitions.divided(new.spec.id for new in tasks):
            others = Counter(elsewhere)
            for other, counts in waiting.items():
                if other is not store:
                    others.update(counts)
            own = [tasks[place] for place in places]
            outcomes = await act(store, own, others)
            found.update(zip(places, outcomes, strict=True))
            waiting[store].update(
                new.spec.queue
                for new, outcome in zip(own, outcomes, strict=True)
                if outcome.status in _NEW and not new.delay and new.due_us is None
            )
        return [found[place] for place in range(len(tasks))]

    # What workers do

    async def claim(
        self,
        task_types: Sequence[str],
        *,
        count: int,
        worker: str,
        lease: timedelta,
        queues: QueueChoice = EVERY_QUEUE,
        call: bytes = b"",
        isolates: bool = False,
    ) -> Claimed:
        """Take up to `count` waiting tasks of these types, from one partition after the other.

        The claim loop of a worker asks the partitions itself, in turn: worker/rounds.py.
        """
        claims, dangling, more = list[Claim](), list[str](), False
        call = call or new_call()
        for store in self._partitions:
            if len(claims) < count:
                given = await store.claim(
                    task_types,
                    count=count - len(claims),
                    worker=worker,
                    lease=lease,
                    queues=queues,
                    call=call,
                    isolates=isolates,
                )
                claims += given.claims
                dangling += given.dangling
                more = more or given.more
        return Claimed(claims, dangling, more or len(claims) >= count)

    async def renew(self, claims: Sequence[Claim], *, lease: timedelta) -> list[Verdict]:
        """Prolong leases; HELD, CANCEL, LOST or, if its outcome is recorded, REPEATED for each."""
        return await self._partitions.each(
            claims, _id_of_claim, lambda store, own: store.renew(own, lease=lease)
        )

    async def report_progress(self, reports: Sequence[tuple[Claim, Progress]]) -> list[Verdict]:
        """Store the latest progress of running tasks."""
        return await self._partitions.each(
            reports, lambda report: report[0].task_id, TaskStore.report_progress
        )

    async def append(self, entries: Sequence[LogLine | Output]) -> list[Verdict]:
        """Append log lines and outputs to the story of running tasks."""
        return await self._partitions.each(
            entries, lambda entry: entry.claim.task_id, TaskStore.append
        )

    async def complete(self, completions: Sequence[Completion]) -> list[Verdict]:
        """Record results; the tasks have ended."""
        return await self._partitions.each(
            completions, lambda each: each.claim.task_id, TaskStore.complete
        )

    async def fail(self, failures: Sequence[Failure]) -> list[Verdict]:
        """Record failed attempts; those with a delay are tried again after it."""
        return await self._partitions.each(
            failures, lambda each: each.claim.task_id, TaskStore.fail
        )

    async def release(self, claims: Sequence[Claim]) -> list[Verdict]:
        """Give tasks back to the place in their queue; the attempt does not count as failed."""
        return await self._partitions.each(claims, _id_of_claim, TaskStore.release)

    # What users and operators do

    async def cancel(self, task_id: str, *, reason: str = "") -> None:
        """Ask a task to stop; does nothing to one that has ended.

        Raises:
            TaskNotFound: There is no such task.
        """
        await self._partitions.of(task_id).cancel(task_id, reason=reason)

    async def cancel_many(
        self, task_ids: Sequence[str], *, states: Iterable[TaskState], reason: str = ""
    ) -> int:
        """Ask those to stop that are in one of these states; returns how many were not before."""
        wanted = frozenset(states)
        return await self._count(
            task_ids, lambda store, own: store.cancel_many(own, states=wanted, reason=reason)
        )

    async def retry(self, task_id: str) -> None:
        """Put a task that has ended back on its queue, with a fresh attempt budget.

        Raises:
            TaskNotFound: There is no such task.
            TaskNotTerminal: It has not ended.
        """
        await self._partitions.of(task_id).retry(task_id)

    async def retry_many(self, task_ids: Sequence[str], *, states: Iterable[TaskState]) -> int:
        """Put those back that ended in one of these states, in order; returns how many."""
        wanted = frozenset(states)
        return await self._count(task_ids, lambda store, own: store.retry_many(own, states=wanted))

    async def delete(self, task_id: str) -> None:
        """Remove a task that has ended, and everything stored about it.

        Raises:
            TaskNotFound: There is no such task.
            TaskNotTerminal: It has not ended.
        """
        await self._partitions.of(task_id).delete(task_id)

    async def delete_many(self, task_ids: Sequence[str], *, states: Iterable[TaskState]) -> int:
        """Remove those that ended in one of these states; returns how many."""
        wanted = frozenset(states)
        return await self._count(task_ids, lambda store, own: store.delete_many(own, states=wanted))

    async def _count(
        self, task_ids: Sequence[str], act: Callable[[TaskStore, list[str]], Awaitable[int]]
    ) -> int:
        divided = self._partitions.divided(task_ids)
        return sum(
            await at_once(
                act(store, [task_ids[place] for place in places]) for store, places in divided
            )
        )

    # What is due

    async def promote(self, count: int = MOVES_PER_CALL) -> Upkept:
        """Put tasks whose time has come on their queue."""
        return _upkept(await at_once(store.promote(count) for store in self._partitions))

    async def queue_timeout(self, count: int = LONG_MOVES_PER_CALL) -> Upkept:
        """Fail tasks that no worker started in time."""
        return _upkept(await at_once(store.queue_timeout(count) for store in self._partitions))

    async def reclaim(
        self,
        count: int = LONG_MOVES_PER_CALL,
        *,
        retry_delay: timedelta,
        hold: timedelta = timedelta(0),
    ) -> list[Reclaimed]:
        """Take tasks back from workers that let their lease run out."""
        taken = await at_once(
            store.reclaim(count, retry_delay=retry_delay, hold=hold) for store in self._partitions
        )
        return [reclaimed for some in taken for reclaimed in some]

    async def expire(self, count: int = LONG_MOVES_PER_CALL) -> Upkept:
        """Drop results and records whose time is over, and what the log has of that time."""
        return _upkept(await at_once(store.expire(count) for store in self._partitions))

    # Reading

    async def get(self, task_id: str, *, full: bool = False) -> Task:
        """The task as it is now; `full` adds input, tracebacks and earlier attempts.

        Raises:
            TaskNotFound: There is no such task.
        """
        return await self._partitions.of(task_id).get(task_id, full=full)

    async def get_many(
        self, task_ids: Sequence[str], *, full: bool = False, pass_over_damaged: bool = False
    ) -> list[Task | None]:
        """Several tasks; None where there is none.

        Raises:
            TaskDamaged: One of them cannot be understood, unless these are passed over as well.
        """
        return await self._partitions.each(
            task_ids,
            str,
            lambda store, own: store.get_many(own, full=full, pass_over_damaged=pass_over_damaged),
        )

    async def get_outcome(self, task_id: str) -> tuple[Task, bytes | None]:
        """A task with its traceback and its result, None if it has none (any more).

        Raises:
            TaskNotFound: There is no such task.
        """
        return await self._partitions.of(task_id).get_outcome(task_id)

    async def story(self, task_id: str, *, after: int, count: int) -> Story:
        """What happened to a task after the event with this sequence, oldest first.

        Raises:
            TaskNotFound: There is no such task.
        """
        return await self._partitions.of(task_id).story(task_id, after=after, count=count)

    async def output(self, event: Event) -> bytes | None:
        """The output that a task emitted with this event; None if it is no longer kept."""
        return await self._partitions.of(event.task_id).output(event)

    async def get_result_chunk(
        self, task_id: str, *, offset: int, count: int
    ) -> tuple[Task, bytes | None]:
        """A task with a part of its result, None if it has none (any more).

        Raises:
            TaskNotFound: There is no such task.
        """
        own = self._partitions.of(task_id)
        return await own.get_result_chunk(task_id, offset=offset, count=count)

    async def waiting(self, queues: Collection[str]) -> Counter[str]:
        """How many tasks wait for a worker on each of these queues."""
        counts = await at_once(store.waiting(queues) for store in self._partitions)
        return sum(counts, Counter[str]())

    async def stats_replies(
        self, window: timedelta, queues: Sequence[str] | None
    ) -> Sequence[dict[bytes, Any]]:
        """What the statistics are made of, as the scripts tell it."""
        told = await at_once(store.stats_replies(window, queues) for store in self._partitions)
        return [reply for some in told for reply in some]

    async def list(self, query: ListQuery, *, count: int) -> TaskPage:
        """One page of tasks by creation time, by the clocks of their partitions."""
        pages = await at_once(store.list(query, count=count) for store in self._partitions)
        return merged(pages, count=count, newest_first=query.newest_first)


def _id_of_new(new: NewTask) -> str:
    return new.spec.id


def _id_of_claim(claim: Claim) -> str:
    return claim.task_id


def _upkept(parts: Sequence[Upkept]) -> Upkept:
    return Upkept(
        count=sum(part.count for part in parts),
        wait=min((part.wait for part in parts if part.wait is not None), default=None),
        dangling=tuple(task_id for part in parts for task_id in part.dangling),
        failed=tuple(line for part in parts for line in part.failed),
    )
