"""Tasks as they are, and what is told of all of them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from taskline_service.errors import TaskDamaged, TaskNotFound
from taskline_service.store.changes import Event
from taskline_service.store.chunks import RECORDS_PER_CALL, chunks
from taskline_service.store.queries import query_to_args, want_of
from taskline_service.store.records import task_from_record, unpack
from taskline_service.store.scripted import Scripted
from taskline_service.store.statistics import Stats, stats_from_reply
from taskline_service.store.story import Story, story_from_reply
from taskline_service.store.values import ListQuery, TaskPage
from taskline_service.task import Task


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
        """Several tasks, up to a hundred of them at the same instant; None where there is none.

        Raises:
            TaskDamaged: One of them cannot be understood, unless these are passed over as well.
        """
        tasks = list[Task | None]()
        for chunk in chunks(task_ids, most=RECORDS_PER_CALL):
            reply = await self._script("get", {"ids": list(chunk), "want": want_of(full)})
            for record in reply[b"records"]:
                read = self._readable if pass_over_damaged else _task
                tasks.append(read(record, reply[b"rev"], full=full))
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
        reply = await self._script("events", {"id": task_id, "after": after, "count": count})
        if not reply:
            raise TaskNotFound(task_id)
        return story_from_reply(reply, after=after, count=count)

    async def output(self, event: Event) -> bytes | None:
        """The output that a task emitted with this event; None if it is no longer kept."""
        stream, place = self.keys.prefix + b"h:" + event.task_id.encode(), f"{event.sequence}-0"
        for _, fields in await self.redis.call(b"XRANGE", stream, place, place):
            entry = dict(zip(fields[::2], fields[1::2], strict=True))
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

    async def list(self, query: ListQuery, *, count: int) -> TaskPage:
        """One page of tasks by creation time, and how many match in all.

        A long one is read in steps; its revision is that of the first.
        """
        tasks, step, first = list[Task](), query, dict[bytes, Any]()
        while True:
            asked = min(count - len(tasks), RECORDS_PER_CALL)
            reply = await self._script("list", {"count": asked, **query_to_args(step)})
            first = first or reply
            read = [self._readable(r, first[b"rev"], full=query.full) for r in reply[b"records"]]
            tasks += [task for task in read if task is not None]
            end = reply.get(b"after")
            after = end and (end[b"create"], end[b"id"].decode())
            if after is None or len(read) < asked or len(tasks) == count:
                return TaskPage(tasks, first.get(b"total"), after is not None, first[b"rev"], after)
            step = replace(query, after=after)

    async def stats(self, *, window: timedelta, queues: Sequence[str] | None = None) -> Stats:
        """Counts of tasks as they are now, and what happened within `window`."""
        args = {
            "queues": None if queues is None else list(queues),
            "window": math.ceil(window.total_seconds()),
        }
        return stats_from_reply(await self._script("stats", args))


def _task(record: dict[bytes, Any] | None, revision: int, *, full: bool) -> Task | None:
    return task_from_record(record, revision, with_attempts=full) if record else None
