"""The streams that watches ask for: one for each partition that has some of their tasks."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing

from taskline.v1 import task_pb2 as pb
from taskline_service.errors import TaskNotFound
from taskline_service.rpc import tokens
from taskline_service.rpc.filter_selection import Selection
from taskline_service.rpc.filter_watching import FilterWatch
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.task_reads import TaskReads
from taskline_service.rpc.tokens import Position
from taskline_service.rpc.watch_merging import merged
from taskline_service.rpc.watch_messages import EventMessages
from taskline_service.rpc.watch_options import WatchOptions
from taskline_service.rpc.watching import WatchStream
from taskline_service.store import ByPartition, EventHub, EventHubs, TaskStore

_Events = AsyncGenerator[pb.TaskEvent, None]


class WatchStreams:
    """Makes streams; revisions, and so tokens, are of one partition each."""

    def __init__(self, store: TaskStore, hubs: EventHubs, lifetime: Lifetime) -> None:
        self._store = store
        self._lifetime = lifetime
        self._messages = EventMessages(store)
        self._reads = TaskReads(store)
        self._partitions = ByPartition(zip(store.partitions, hubs, strict=True))

    def of_task(self, task_id: str, options: WatchOptions) -> WatchStream:
        """Follows one task, which may be yet to be made."""
        return self._stream(self._partitions.of(task_id), [task_id], options)

    def of_tasks(
        self, task_ids: Iterable[str], options: WatchOptions, resume_token: str
    ) -> _Events:
        """Follows tasks until all of them have ended.

        Raises:
            ResumeTokenInvalid: The token is of another watch.
        """
        ids = sorted(set(task_ids))
        divided = [
            (partition, [ids[place] for place in places])
            for partition, places in self._partitions.divided(ids)
        ]
        given = tokens.parts(resume_token, len(divided))
        for token, (_, own) in zip(given, divided, strict=True):
            if token:  # a wrong one is told even if a task is gone
                tokens.resume_position(token, tokens.subscription(own))
        if len(divided) == 1:
            return self._stream(*divided[0], options).events(resume_token=resume_token)
        return self._of_several(divided, options, given)

    def of_filter(self, selection: Selection, options: WatchOptions, resume_token: str) -> _Events:
        """Follows all tasks that a filter selects, without an end.

        Raises:
            ResumeTokenInvalid: The token is of another watch.
        """
        watches = [
            FilterWatch(
                self._reads, hub, self._lifetime, self._messages, selection, options=options
            )
            for _, hub in self._partitions
        ]
        places = tokens.parts(resume_token, len(watches))
        if len(watches) == 1:
            return watches[0].events(resume_token=resume_token)
        opening = _Opening(watches, places)
        streams = [
            watch.events(resume_token=token, on_begun=opening.of(at))
            for at, (watch, token) in enumerate(zip(watches, tuple(places), strict=True))
        ]
        return merged(streams, places)

    async def _of_several(
        self,
        divided: Sequence[tuple[tuple[TaskStore, EventHub], list[str]]],
        options: WatchOptions,
        given: list[str],
    ) -> _Events:
        ids = sorted(task_id for _, own in divided for task_id in own)
        revision_of = dict[str, int]()
        for task_id, task in zip(ids, await self._store.get_many(ids), strict=True):
            if task is None:
                raise TaskNotFound(task_id)
            revision_of[task_id] = task.revision
        streams = [
            self._stream(partition, own, options).events(resume_token=token)
            for token, (partition, own) in zip(given, divided, strict=True)
        ]
        places = [
            token or tokens.resume_token(tokens.subscription(own), Position(revision_of[own[0]]))
            for token, (_, own) in zip(given, divided, strict=True)
        ]
        async with aclosing(merged(streams, places)) as messages:
            async for message in messages:
                yield message

    def _stream(
        self, partition: tuple[TaskStore, EventHub], ids: Sequence[str], options: WatchOptions
    ) -> WatchStream:
        store, hub = partition
        return WatchStream(store, hub, self._lifetime, self._messages, ids, options=options)


class _Opening:
    """The beginning of a watch by filter: it has begun when all of its parts have."""

    def __init__(self, watches: Sequence[FilterWatch], places: list[str]) -> None:
        self._watches = watches
        self._places = places
        self._missing = set(range(len(watches)))
        self._begun = asyncio.Event()

    def of(self, at: int) -> Callable[[], Awaitable[None]]:
        """What the part at this place awaits before it tells anything."""

        async def begun() -> None:
            self._places[at] = self._watches[at].token
            self._missing.discard(at)
            if not self._missing:
                self._begun.set()
            await self._begun.wait()

        return begun
