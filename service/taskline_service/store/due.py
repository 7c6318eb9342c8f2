"""What becomes of tasks by time alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from taskline_service.limits import MAX_SPARED
from taskline_service.store.chunks import LONG_MOVES_PER_CALL, MOVES_PER_CALL
from taskline_service.store.keys import split_line
from taskline_service.store.records import error_to_fields, from_us, to_us
from taskline_service.store.scripted import Scripted
from taskline_service.store.values import Reclaimed, Upkept
from taskline_service.task import ErrorType, TaskError, TaskState


class Due(Scripted):
    """Makes the moves that are due."""

    async def promote(self, count: int = MOVES_PER_CALL) -> Upkept:
        """Put tasks whose time has come on their queue."""
        reply = await self._script("promote", {"count": count})
        return self._upkept(reply[b"promoted"], reply)

    async def queue_timeout(self, count: int = LONG_MOVES_PER_CALL) -> Upkept:
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
        failed = tuple(split_line(line.decode()) for line in reply[b"failed"])
        return replace(self._upkept(len(failed), reply), failed=failed)

    async def reclaim(
        self,
        count: int = LONG_MOVES_PER_CALL,
        *,
        retry_delay: timedelta,
        hold: timedelta = timedelta(0),
    ) -> list[Reclaimed]:
        """Take tasks back from workers that let their lease run out.

        To be called twice a second at least: a break shows that the store was away, when nobody
        could renew. After it no task is taken back for `hold`, so that workers can come back.
        """
        error = TaskError(
            error_type=ErrorType.WORKER_LOST,
            message="the worker vanished while it held the task",
            is_retryable=True,
        )
        args = {
            "count": count,
            "hold": to_us(hold),
            "max_lost": self._max_lost,
            "max_spared": MAX_SPARED,
            "retry_delay": to_us(retry_delay),
            "error": error_to_fields(error),
            "record_ttl": self._record_ttl_us,
        }
        reclaimed = list[Reclaimed]()
        reply = await self._script("reclaim", args)
        self._told_of(reply[b"damaged"])
        for entry in reply[b"reclaimed"]:
            if b"worker" in entry:
                reclaimed.append(_reclaimed(entry))
            else:
                self.damage.found(
                    f"task {entry[b'id'].decode(errors='replace')}",
                    "it had a lease, but its record is no such task",
                )
        return reclaimed

    async def expire(self, count: int = LONG_MOVES_PER_CALL) -> Upkept:
        """Drop results and records whose time is over, and what the log has of that time."""
        args = {
            "count": count,
            "result_ttl": to_us(self.result_ttl),
            "record_ttl": self._record_ttl_us,
        }
        reply = await self._script("expire", args)
        return self._upkept(reply[b"dropped"], reply)

    def _upkept(self, count: int, reply: dict[bytes, Any]) -> Upkept:
        self._told_of(reply[b"damaged"])
        wait = reply.get(b"wait")
        dangling = tuple(id_.decode(errors="replace") for id_ in reply[b"dangling"])
        return Upkept(count, None if wait is None else from_us(wait), dangling)


def _reclaimed(entry: dict[bytes, bytes]) -> Reclaimed:
    task_type, queue = split_line(entry[b"line"].decode())
    return Reclaimed(
        entry[b"id"].decode(errors="replace"),
        task_type,
        queue,
        entry[b"worker"].decode(errors="replace"),
        TaskState(entry[b"state"].decode()),
    )
