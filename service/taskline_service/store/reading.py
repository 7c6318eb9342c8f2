"""Tasks as they are, and what is told of all of them."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import zip_longest
from typing import Any

from taskline_service.errors import TaskDamaged, TaskNotFound
from taskline_service.limits import MAX_PAGE_BYTES
from taskline_service.store.changes import Emitted, Event
from taskline_service.store.chunks import (
    EVENTS_PER_CALL,
    HISTORIES_PER_CALL,
    RECORDS_PER_CALL,
    chunks,
)
from taskline_service.store.damage import key_of, record_of
from taskline_service.store.heads import Heads, merged
from taskline_service.store.keys import split_line
from taskline_service.store.lines import in_steps, known_lines
from taskline_service.store.queries import query_to_args, want_of
from taskline_service.store.records import task_from_record, unpack
from taskline_service.store.scripted import Scripted
from taskline_service.store.statistics import Stats, failed_by_fields, stats_from_replies
from taskline_service.store.story import Story, story_from_reply
from taskline_service.store.values import ListQuery, TaskPage
from taskline_service.task import Task, TaskState


class Reading(Scripted):
    """Reads tasks."""

    async def get(self, task_id: str, *, full: bool = False) -> Task:
        """The task as it is now; `full` adds input, tracebacks and earlier attempts.

        Raises:
            TaskNotFound: There is no such task.
        """
        (task,) = await self.get_many([task_id], full=full)
        if task is None:
            raise TaskNotFound(task_id)
        return task

    async def get_many(
        self, task_ids: Sequence[str], *, full: bool = False, pass_over_damaged: bool = False
    ) -> list[Task | None]:
        """Several tasks, in steps of some at the same instant; None where there is none.

        Raises:
            TaskDamaged: One of them cannot be understood, unless these are passed over as well.
        """
        tasks = list[Task | None]()
        read = self._readable if pass_over_damaged else _task
        while len(tasks) < len(task_ids):
            step = task_ids[len(tasks) : len(tasks) + RECORDS_PER_CALL]
            reply = await self._script("get", {"ids": list(step), "want": want_of(full)})
            tasks += [read(record, reply[b"rev"], full=full) for record in reply[b"records"]]
        return tasks

    def _readable(self, record: dict[bytes, Any], revision: int, *, full: bool) -> Task | None:
        """A task, or None if it is damaged: then it is reported."""
        try:
            return _task(record, revision, full=full)
        except TaskDamaged as error:
            self.damage.found(f"task {error.task_id}", error.__cause__)
            return None

    async def get_outcome(self, task_id: str) -> tuple[Task, bytes | None]:
        """A task with its traceback and its result, None if it has none (any more).

        Raises:
            TaskNotFound: There is no such task.
        """
        want = {"traceback": True, "result": True}
        reply = await self._script("get", {"ids": [task_id], "want": want})
        (record,) = reply[b"records"]
        if not record:
            raise TaskNotFound(task_id)
        return task_from_record(record, reply[b"rev"]), record.get(b"result")

    async def story(self, task_id: str, *, after: int, count: int) -> Story:
        """What happened to a task after the event with this sequence, oldest first.

        Raises:
            TaskNotFound: There is no such task.
        """
        events, size, first = list[Event](), 0, None
        while True:
            wanted = min(count - len(events), EVENTS_PER_CALL)
            reply = await self._script("events", {"id": task_id, "after": after, "count": wanted})
            if not reply:
                raise TaskNotFound(task_id)
            step = story_from_reply(reply, after=after, count=wanted)
            first = first or step
            events += step.events
            outputs = (e.change for e in step.events if isinstance(e.change, Emitted))
            size += sum(len(output.data or b"") for output in outputs)
            full = len(events) == count or size >= MAX_PAGE_BYTES
            if full or not step.more or not step.events:
                return replace(first, task=step.task, events=events, more=step.more)
            after = step.events[-1].sequence

    async def output(self, event: Event) -> bytes | None:
        """The output that a task emitted with this event; None if it is no longer kept."""
        stream, place = self.keys.prefix + b"h:" + event.task_id.encode(), f"{event.sequence}-0"
        for _, fields in await self.redis.call(b"XRANGE", stream, place, place):
            entry = dict(zip(fields[::2], fields[1::2], strict=True))
            with record_of(event.task_id):
                # Another task may have the id by now.
                return entry.get(b"o") if unpack(entry[b"e"])[b"at"] == event.event_us else None
        return None

    async def get_result_chunk(
        self, task_id: str, *, offset: int, count: int
    ) -> tuple[Task, bytes | None]:
        """A task with a part of its result, None if it has none (any more).

        Raises:
            TaskNotFound: There is no such task.
        """
        want = {"chunk": {"offset": offset, "count": count}}
        reply = await self._script("get", {"ids": [task_id], "want": want})
        (record,) = reply[b"records"]
        if not record:
            raise TaskNotFound(task_id)
        return task_from_record(record, reply[b"rev"]), record.get(b"result")

    async def waiting(self, queues: Collection[str]) -> Counter[str]:
        """How many tasks wait for a worker on each of these queues."""
        lines, counts = await known_lines(self.redis, self.keys, queues=queues), Counter[str]()
        for step in in_steps(lines, indexes=len(TaskState)):
            told = await self._script("on_lines", {"lines": [*step]})
            for line, on_line in zip(step, told, strict=True):
                counts[split_line(line)[1]] += on_line[b"queued"]
        return counts

    async def list(self, query: ListQuery, *, count: int) -> TaskPage:
        """One page of tasks by creation time, and how many match in all.

        A long one is read in steps; its revision is that of the first.
        """
        lines = list[str]()
        if not query.labels:
            lines = await known_lines(
                self.redis, self.keys, task_types=query.task_types, queues=query.queues
            )
        tasks, step, first = list[Task](), query, None
        while True:
            wanted = min(count - len(tasks), RECORDS_PER_CALL)
            heads = await self._heads(step, lines, wanted)
            first = first or heads
            read = [self._readable(r, first.revision, full=query.full) for r in heads.records]
            tasks += [task for task in read if task is not None]
            after = heads.after
            if after is None or len(read) < wanted or len(tasks) == count:
                return TaskPage(tasks, first.total, after is not None, (first.revision,), after)
            step = replace(query, after=after)

    async def _heads(self, query: ListQuery, lines: Sequence[str], count: int) -> Heads:
        """The next tasks of a list, of as many lines in each call as it may look at."""
        args = {"count": count, **query_to_args(query)}
        groups = list(in_steps(lines, indexes=len(args["states"]))) or [[]]
        replies = [await self._script("list", args | {"lines": list(group)}) for group in groups]
        return merged(replies, count=count, newest_first=query.newest_first)

    async def stats(self, *, window: timedelta, queues: Sequence[str] | None = None) -> Stats:
        """Counts of tasks as they are now, and what happened within `window`.

        All of it is from the same instant, unless there are more lines or queues than one call
        may look at.
        """
        replies = await self.stats_replies(window, queues)
        with key_of(self.keys.failed_by):
            return stats_from_replies(replies)

    async def stats_replies(
        self, window: timedelta, queues: Sequence[str] | None
    ) -> Sequence[dict[bytes, Any]]:
        """What the statistics are made of, as the script tells it."""
        lines = await known_lines(self.redis, self.keys, queues=queues)
        histories = list(dict.fromkeys([""] if queues is None else queues))
        steps = zip_longest(
            in_steps(lines, indexes=len(TaskState)),
            chunks(histories, most=HISTORIES_PER_CALL),
            fillvalue=(),
        )
        counted, replies = set[str](), list[dict[bytes, Any]]()
        for some_lines, some_histories in steps:
            new = {split_line(line)[1] for line in some_lines} - counted
            counted |= new
            args = {
                "lines": list(some_lines),
                "failed_by": failed_by_fields(new),
                "queues": list(some_histories),
                "window": math.ceil(window.total_seconds()),
            }
            replies.append(await self._script("stats", args))
        return replies


def _task(record: dict[bytes, Any] | None, revision: int, *, full: bool) -> Task | None:
    return task_from_record(record, revision, with_attempts=full) if record else None
