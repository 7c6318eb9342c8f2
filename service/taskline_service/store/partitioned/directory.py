"""Task types, workers and queues of a namespace in several partitions.

What belongs to no task, such as task types and workers, is in the first partition alone. Whether a
queue is paused is in all of them, as each hands out tasks by itself.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from taskline_service.store.directory import Directory, QueueInfo
from taskline_service.store.partitioned.by_partition import at_once
from taskline_service.store.store import TaskStore

log = logging.getLogger(__name__)


def directory_of(store: TaskStore) -> Directory:
    """The directory of the namespace of a store."""
    parts = [Directory(partition.redis, partition.keys) for partition in store.partitions]
    return parts[0] if len(parts) == 1 else PartitionedDirectory(store, parts)


class PartitionedDirectory(Directory):
    """The same over several partitions."""

    def __init__(self, store: TaskStore, parts: Sequence[Directory]) -> None:
        first = store.partitions[0]
        super().__init__(first.redis, first.keys)
        self._parts = parts
        self._away = frozenset[int]()

    async def queues(self, *, after: str = "", count: int) -> list[QueueInfo]:
        """Queues by name, those behind `after`."""
        pages = await at_once(part.queues(after=after, count=count) for part in self._parts)
        names = sorted({queue.name for page in pages for queue in page})[:count]
        return [_one(q for page in pages for q in page if q.name == name) for name in names]

    async def pause(self, queue: str) -> QueueInfo:
        """Hand out no more tasks of a queue, which need not have any yet.

        Raises:
            TooManyQueues: As many queues are paused as may be.
        """
        # One after the other: the first one refuses what would be too many.
        return _one([await part.pause(queue) for part in self._parts])

    async def resume(self, queue: str) -> QueueInfo:
        """Hand out tasks of a queue again."""
        return _one(await at_once(part.resume(queue) for part in self._parts))

    async def waiting_types(self) -> frozenset[str]:
        """Task types that have waiting tasks."""
        types = await at_once(part.waiting_types() for part in self._parts)
        return frozenset[str]().union(*types)

    async def check_writable(self) -> None:
        """Try a write that changes nothing: it is enough that one partition takes it.

        A server that cannot serve some of the tasks still serves the others, and taking it away
        would help nobody, as the next one finds the same store.

        Raises:
            StoreUnavailable: None takes writes now.
        """
        answers = await asyncio.gather(
            *(part.check_writable() for part in self._parts), return_exceptions=True
        )
        errors = {p: answer for p, answer in enumerate(answers) if answer is not None}
        self._tell_who_is_away(errors)
        if len(errors) == len(self._parts):
            raise errors[0]

    async def refusal(self) -> str:
        """Why the first partition that takes no new tasks now takes none; "" if all take them."""
        refusals = enumerate(await at_once(part.refusal() for part in self._parts))
        return next((f"partition {p}: {refusal}" for p, refusal in refusals if refusal), "")

    def _tell_who_is_away(self, errors: Mapping[int, BaseException]) -> None:
        for partition in self._away - errors.keys():
            log.info("partition %d takes writes again", partition)
        for partition in errors.keys() - self._away:
            log.warning("partition %d: %s", partition, errors[partition])
        self._away = frozenset(errors)


def _one(parts: Iterable[QueueInfo]) -> QueueInfo:
    """A queue, from what each partition tells of it."""
    told = list(parts)
    return QueueInfo(
        name=told[0].name,
        # In doubt, as after a call that reached some of them only: then a repeat makes it so.
        paused=any(part.paused for part in told),
        queued=sum(part.queued for part in told),
        scheduled=sum(part.scheduled for part in told),
        running=sum(part.running for part in told),
        oldest_age=max(part.oldest_age for part in told),
    )
