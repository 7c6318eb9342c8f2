"""The moves of tasks, each one script, and the reading of tasks."""

import math
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from taskline_service.errors import TaskDamaged, TaskNotFound, TaskNotTerminal
from taskline_service.queue_order import EVERY_QUEUE, QueueChoice
from taskline_service.store.chunks import MOVES_PER_CALL, RECORDS_PER_CALL, chunks
from taskline_service.store.damage import DamageReport
from taskline_service.store.entries import enqueued, entry_of, sizes_of
from taskline_service.store.keys import Keys
from taskline_service.store.queries import query_to_args, want_of
from taskline_service.store.records import (
    claim_from_fields,
    error_to_fields,
    from_us,
    progress_to_fields,
    task_from_record,
    to_us,
)
from taskline_service.store.redis import Redis
from taskline_service.store.statistics import Stats, stats_from_reply
from taskline_service.store.story import Story, story_from_reply
from taskline_service.store.values import (
    Completion,
    Enqueued,
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
from taskline_service.task import (
    TERMINAL_STATES,
    Claim,
    ErrorType,
    Progress,
    Task,
    TaskError,
    TaskState,
)

DEFAULT_RESULT_TTL = timedelta(hours=24)
DEFAULT_RECORD_TTL = timedelta(days=7)
MAX_LOST = 3

_Step = Sequence[tuple[NewTask, dict[str, Any]]]


def _held(claim: Claim) -> dict[str, Any]:
    return {"id": claim.task_id, "attempt": claim.attempt, "nonce": claim.nonce}


class TaskStore:
    """Reads tasks, and moves them from state to state.

    A move happens whole or not at all. Moves of many tasks are made in bounded steps, in
    order. What a worker does is accepted only under the claim that it was given.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        result_ttl: timedelta = DEFAULT_RESULT_TTL,
        record_ttl: timedelta = DEFAULT_RECORD_TTL,
        max_lost: int = MAX_LOST,
        max_queued: int = 0,
    ) -> None:
        self.redis = redis
        self.keys = keys
        self.result_ttl = result_ttl
        self.record_ttl = record_ttl
        # Waiting tasks that a queue may have before it takes no more; 0 for no limit.
        self.max_queued = max_queued
        self.damage = DamageReport()
        # Called when a task was given a time to wait for.
        self.on_scheduled: Callable[[], None] = _nobody
        self._max_lost = max_lost
        self._record_ttl_us = to_us(record_ttl)

    async def _script(self, name: str, args: Mapping[str, Any]) -> Any:
        return await self.redis.script(name, self.keys.prefix, dict(args))

    # Accepting tasks

    async def enqueue(self, tasks: Sequence[NewTask], *, partial: bool = False) -> list[Enqueued]:
        """Accept tasks, in order; none if one is refused, unless `partial`.

        More than a hundred are checked first and then written in steps, so that a store that
        fails in between leaves those before accepted; a repeat adds the others.
        """
        entries = [entry_of(new) for new in tasks]
        steps = list(chunks(list(zip(tasks, entries, strict=True)), sizes_of(entries)))
        if len(steps) > 1 and not partial:
            checked = await self._check(steps)
            if not all(outcome.status.accepted for outcome in checked):
                return checked
        outcomes = [o for c in steps for o in await self._enqueue(c, partial=partial)]
        if any(new.delay is not None or new.due_us is not None for new in tasks):
            self.on_scheduled()
        return outcomes

    async def check(self, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """What `enqueue` would answer; changes nothing."""
        entries = [entry_of(new) for new in tasks]
        return await self._check(chunks(list(zip(tasks, entries, strict=True)), sizes_of(entries)))

    async def _check(self, steps: Iterable[_Step]) -> list[Enqueued]:
        outcomes, ahead = list[Enqueued](), Counter[bytes]()
        for step in steps:
            outcomes += await self._enqueue(step, check_only=True, ahead=ahead)
        return outcomes

    async def _enqueue(
        self,
        chunk: _Step,
        *,
        partial: bool = False,
        check_only: bool = False,
        ahead: Counter[bytes] | None = None,
    ) -> list[Enqueued]:
        """One step; `ahead` counts what it and those before it add to queues that are limited."""
        reply = await self._script(
            "enqueue",
            {
                "tasks": [entry for _, entry in chunk],
                "partial": partial,
                "check_only": check_only,
                "max_queued": self.max_queued or None,
                "ahead": dict(ahead) if ahead else None,
            },
        )
        if ahead is not None:
            ahead.update(dict(reply[b"added"]))
        return [
            enqueued(new.spec, outcome, reply.get(b"rev", 0))
            for (new, _), outcome in zip(chunk, reply[b"outcomes"], strict=True)
        ]

    # What workers do

    async def claim(
        self,
        task_types: Sequence[str],
        *,
        count: int,
        worker: str,
        lease: timedelta,
        queues: QueueChoice = EVERY_QUEUE,
    ) -> tuple[list[Claim], list[str]]:
        """Take up to `count` waiting tasks of these types, in the order of `queues`.

        Returns the claims, and ids that waited although their record is gone or damaged. A task
        of which only what was enqueued is lost has FAILED.
        """
        nonce = secrets.token_bytes(8)
        args = {
            "types": list(task_types),
            "queues": list(queues.ranked()) or None,
            "by_rank": queues.by_rank,
            "count": min(count, MOVES_PER_CALL),
            "worker": worker,
            "nonce": nonce,
            "lease": to_us(lease),
            "record_ttl": self._record_ttl_us,
        }
        reply = await self._script("claim", args)
        claims, unreadable = list[Claim](), list[dict[bytes, Any]]()
        for fields in reply[b"claims"]:
            try:
                claims.append(claim_from_fields(fields, fields[b"line"].decode(), nonce))
            except TaskDamaged:
                unreadable.append(fields)
        if unreadable:
            await self._fail_unreadable(unreadable, nonce)
        dangling = reply[b"dangling"] + [fields[b"id"] for fields in unreadable]
        return claims, [task_id.decode() for task_id in dangling]

    async def _fail_unreadable(self, claims: Sequence[dict[bytes, Any]], nonce: bytes) -> None:
        """End tasks that nobody can execute: what was enqueued cannot be understood."""
        error = TaskError(
            error_type=ErrorType.STORAGE, message="what was enqueued cannot be understood"
        )
        outcomes = [
            {"id": c[b"id"], "attempt": c[b"attempt"], "nonce": nonce}
            | {"error": error_to_fields(error), "traceback": ""}
            for c in claims
        ]
        await self._script("fail", {"outcomes": outcomes, "record_ttl": self._record_ttl_us})

    async def renew(self, claims: Sequence[Claim], *, lease: timedelta) -> list[Verdict]:
        """Prolong leases; HELD, CANCEL, LOST or, if its outcome is recorded, REPEATED for each."""
        verdicts = list[Verdict]()
        for chunk in chunks(claims, [0] * len(claims)):
            args = {"claims": [_held(claim) for claim in chunk], "lease": to_us(lease)}
            verdicts += _verdicts(await self._script("renew", args))
        return verdicts

    async def report_progress(self, reports: Sequence[tuple[Claim, Progress]]) -> list[Verdict]:
        """Store the latest progress of running tasks."""
        verdicts = list[Verdict]()
        for chunk in chunks(reports, [0] * len(reports)):
            fields = [_held(claim) | {"progress": progress_to_fields(p)} for claim, p in chunk]
            verdicts += _verdicts(await self._script("progress", {"reports": fields}))
        return verdicts

    async def append(self, entries: Sequence[LogLine | Output]) -> list[Verdict]:
        """Append log lines and outputs to the story of running tasks."""
        verdicts = list[Verdict]()
        for chunk in chunks(entries, [entry.size for entry in entries]):
            fields = [_held(entry.claim) | _appended(entry) for entry in chunk]
            verdicts += _verdicts(await self._script("append", {"entries": fields}))
        return verdicts

    async def complete(self, completions: Sequence[Completion]) -> list[Verdict]:
        """Record results; the tasks have ended."""
        verdicts = list[Verdict]()
        for chunk in chunks(completions, [len(c.result) for c in completions]):
            outcomes = [
                _held(c.claim)
                | {
                    "result": c.result,
                    "result_ttl": to_us(
                        self.result_ttl
                        if c.claim.spec.result_ttl is None
                        else c.claim.spec.result_ttl
                    ),
                }
                for c in chunk
            ]
            args = {"outcomes": outcomes, "record_ttl": self._record_ttl_us}
            verdicts += _verdicts(await self._script("complete", args))
        return verdicts

    async def fail(self, failures: Sequence[Failure]) -> list[Verdict]:
        """Record failed attempts; those with a delay are tried again after it."""
        verdicts = list[Verdict]()
        for chunk in chunks(failures, [len(f.error.traceback) for f in failures]):
            outcomes = [
                _held(f.claim)
                | {
                    "error": error_to_fields(f.error),
                    "traceback": f.error.traceback,
                    "retry_delay": None if f.retry_delay is None else to_us(f.retry_delay),
                }
                for f in chunk
            ]
            args = {"outcomes": outcomes, "record_ttl": self._record_ttl_us}
            verdicts += _verdicts(await self._script("fail", args))
        if any(f.retry_delay is not None for f in failures):
            self.on_scheduled()
        return verdicts

    async def release(self, claims: Sequence[Claim]) -> list[Verdict]:
        """Give tasks back to the place in their queue; the attempt does not count as failed."""
        verdicts = list[Verdict]()
        for chunk in chunks(claims, [0] * len(claims)):
            args = {
                "claims": [_held(claim) for claim in chunk],
                "record_ttl": self._record_ttl_us,
            }
            verdicts += _verdicts(await self._script("release", args))
        return verdicts

    # What users and operators do

    async def cancel(self, task_id: str, *, reason: str = "") -> None:
        """Ask a task to stop; does nothing to one that has ended.

        Raises:
            TaskNotFound: There is no such task.
        """
        (answer,) = await self._cancel([task_id], reason)
        _raise_if_absent(task_id, answer)

    async def cancel_many(
        self, task_ids: Sequence[str], *, states: Iterable[TaskState], reason: str = ""
    ) -> int:
        """Ask those to stop that are in one of these states; returns how many were not before."""
        return _changed(
            [await self._cancel(chunk, reason, states) for chunk in _steps_of(task_ids)]
        )

    async def _cancel(
        self, task_ids: Sequence[str], reason: str, states: Iterable[TaskState] | None = None
    ) -> list[Any]:
        args = {
            "ids": list(task_ids),
            "states": None if states is None else list(states),
            "error": error_to_fields(_cancelled(reason)),
            "record_ttl": self._record_ttl_us,
        }
        return list(await self._script("cancel", args))

    async def retry(self, task_id: str) -> None:
        """Put a task that has ended back on its queue, with a fresh attempt budget.

        Raises:
            TaskNotFound: There is no such task.
            TaskNotTerminal: It has not ended.
        """
        _raise_unless_changed(task_id, *await self._retry([task_id], TERMINAL_STATES))

    async def retry_many(self, task_ids: Sequence[str], *, states: Iterable[TaskState]) -> int:
        """Put those back that ended in one of these states, in order; returns how many."""
        return _changed([await self._retry(chunk, states) for chunk in _steps_of(task_ids)])

    async def _retry(self, task_ids: Sequence[str], states: Iterable[TaskState]) -> list[Any]:
        # The nonce tells a call that is made again, because its answer got lost.
        args = {"ids": list(task_ids), "states": list(states), "call": secrets.token_bytes(8)}
        return list(await self._script("retry", args))

    async def delete(self, task_id: str) -> None:
        """Remove a task that has ended, and everything stored about it.

        Raises:
            TaskNotFound: There is no such task.
            TaskNotTerminal: It has not ended.
        """
        _raise_unless_changed(task_id, *await self._delete([task_id], TERMINAL_STATES))

    async def delete_many(self, task_ids: Sequence[str], *, states: Iterable[TaskState]) -> int:
        """Remove those that ended in one of these states; returns how many."""
        return _changed([await self._delete(chunk, states) for chunk in _steps_of(task_ids)])

    async def _delete(self, task_ids: Sequence[str], states: Iterable[TaskState]) -> list[Any]:
        args = {"ids": list(task_ids), "states": list(states)}
        return list(await self._script("delete", args))

    # Upkeep

    async def promote(self, count: int = MOVES_PER_CALL) -> Upkept:
        """Put tasks whose time has come on their queue."""
        reply = await self._script("promote", {"count": count})
        return _upkept(reply[b"promoted"], reply)

    async def queue_timeout(self, count: int = MOVES_PER_CALL) -> Upkept:
        """Fail tasks that no worker started in time."""
        error = TaskError(
            error_type=ErrorType.QUEUE_TIMEOUT,
            message="no worker started the task within its queue_timeout",
        )
        args = {
            "count": count,
            "error": error_to_fields(error),
            "record_ttl": self._record_ttl_us,
        }
        reply = await self._script("queue_timeout", args)
        return _upkept(reply[b"failed"], reply)

    async def reclaim(
        self, count: int = MOVES_PER_CALL, *, retry_delay: timedelta
    ) -> list[Reclaimed]:
        """Take tasks back from workers that let their lease run out."""
        error = TaskError(
            error_type=ErrorType.WORKER_LOST,
            message="the worker vanished while it held the task",
            is_retryable=True,
        )
        args = {
            "count": count,
            "max_lost": self._max_lost,
            "retry_delay": to_us(retry_delay),
            "error": error_to_fields(error),
            "record_ttl": self._record_ttl_us,
        }
        return [
            Reclaimed(r[b"id"].decode(), r[b"worker"].decode(), TaskState(r[b"state"].decode()))
            for r in await self._script("reclaim", args)
        ]

    async def expire(self, count: int = MOVES_PER_CALL) -> Upkept:
        """Drop results and records whose time is over."""
        args = {"count": count, "record_ttl": self._record_ttl_us}
        reply = await self._script("expire", args)
        return _upkept(reply[b"dropped"], reply)

    # Reading

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
        for chunk in chunks(task_ids, [0] * len(task_ids)):
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

    async def output(self, task_id: str, sequence: int) -> bytes | None:
        """The output that a task emitted with this event; None if it is no longer kept."""
        stream, entry = self.keys.prefix + b"h:" + task_id.encode(), f"{sequence}-0"
        for _, fields in await self.redis.call(b"XRANGE", stream, entry, entry):
            return dict(zip(fields[::2], fields[1::2], strict=True)).get(b"o")
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


def _appended(entry: LogLine | Output) -> dict[str, Any]:
    if isinstance(entry, Output):
        return {"number": entry.number, "output": entry.data}
    return {
        "number": entry.number,
        "message": entry.message,
        "percentage": entry.percentage,
    }


def _cancelled(reason: str) -> TaskError:
    return TaskError(error_type=ErrorType.CANCELLED, message=reason or "the task was cancelled")


def _steps_of(task_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return chunks(task_ids, [0] * len(task_ids))


def _changed(answers: Iterable[list[Any]]) -> int:
    return sum(answer is True for step in answers for answer in step)


def _raise_if_absent(task_id: str, answer: bytes | bool) -> None:
    if not answer:
        raise TaskNotFound(task_id)
    if answer == b"damaged":
        raise TaskDamaged(task_id)


def _raise_unless_changed(task_id: str, answer: bytes | bool) -> None:
    _raise_if_absent(task_id, answer)
    if isinstance(answer, bytes):
        state = answer.decode()
        raise TaskNotTerminal(
            f"task {task_id!r} has not ended: it is {state}", task_id=task_id, state=state
        )


def _nobody() -> None:
    """Nobody wants to know."""


def _upkept(count: int, reply: dict[bytes, Any]) -> Upkept:
    wait = reply.get(b"wait")
    dangling = tuple(task_id.decode() for task_id in reply[b"dangling"])
    return Upkept(count, None if wait is None else from_us(wait), dangling)


def _verdicts(reply: Sequence[bytes]) -> list[Verdict]:
    return [Verdict(verdict.decode()) for verdict in reply]


def _task(record: dict[bytes, Any] | None, revision: int, *, full: bool) -> Task | None:
    return task_from_record(record, revision, with_attempts=full) if record else None
