"""GetResult: the outcome of a task, once there is one."""

import asyncio
import contextlib
import time
from datetime import timedelta

from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc import fields
from taskline_service.rpc.as_it_became import as_it_became
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.store import End, EventHub, Gap, Mailbox, TaskStore
from taskline_service.task import Task

# The answer has to be on its way before the call's own deadline.
_DEADLINE_MARGIN_S = 0.2


def wait_seconds(
    request: pb.GetResultRequest, *, longest: timedelta, now_us: int, remaining: float | None
) -> float | None:
    """How long to wait for the end of the task; None if the call does not ask for that.

    `longest` is the longest wait of the server, `remaining` what is left of the call's deadline,
    in seconds.

    Raises:
        InvalidInput: The limit is not a valid span or instant.
    """
    check, limit = fields.Checker(), request.WhichOneof("limit")
    if limit is None and not request.wait:
        return None
    seconds = longest.total_seconds()
    if limit == "timeout":
        span = check.span("timeout", request.timeout)
        seconds = min(seconds, span.total_seconds() if span else 0.0)
    elif limit == "deadline":
        instant = check.instant("deadline", request.deadline)
        seconds = min(seconds, (instant - now_us) / 1_000_000)
    check.raise_if_wrong()
    if remaining is not None:
        seconds = min(seconds, remaining - _DEADLINE_MARGIN_S)
    return max(seconds, 0.0)


async def outcome(
    store: TaskStore, hub: EventHub, lifetime: Lifetime, task_id: str, *, wait: float
) -> tuple[Task, bytes | None]:
    """The task, and its result if it has one; after it ended, or after `wait` seconds.

    Raises:
        TaskNotFound: There is no such task.
        ServerDraining: The server shuts down before the task ends.
    """
    deadline = asyncio.get_running_loop().time() + wait
    # The mailbox comes first: an end right after the first look is not missed.
    with hub.watch([task_id]) as mailbox, lifetime.woken(mailbox.wake):
        task, result = await store.get_outcome(task_id)
        in_time = wait > 0
        while in_time and not task.state.terminal:
            in_time, told = await _until_end(mailbox, deadline, task)
            lifetime.check()
            if told is not None:
                return told
            task, result = await store.get_outcome(task_id)  # as it is now, also if time is over
        return task, result


async def _until_end(
    mailbox: Mailbox, deadline: float, task: Task
) -> tuple[bool, tuple[Task, bytes | None] | None]:
    """Wait until the task, as it was read, may have ended.

    Returns whether it may, or else the time is over; and the outcome, if the events tell it whole.
    """
    known: Task | None = task
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            while True:
                await mailbox.arrival()
                event = mailbox.take()
                if event is None or isinstance(event.change, Gap):
                    return True, None
                known = known and as_it_became(known, event)
                if isinstance(event.change, End) and event.sequence > task.sequence:
                    return True, _outcome(known, event.change) if known else None
    return False, None


def _outcome(task: Task, end: End) -> tuple[Task, bytes | None] | None:
    """None if the result is over already."""
    result = end.result_at(time.time_ns() // 1000)
    return None if result is None and end.result is not None else (task, result)
