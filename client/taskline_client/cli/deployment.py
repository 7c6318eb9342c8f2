"""What `top` and `doctor` look at: one look at a whole deployment."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic

from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert import task_from
from taskline_client._deployment_calls import DeploymentCalls
from taskline_client._requests import task_filter
from taskline_client.deployment import Queue, ServerInfo, Worker
from taskline_client.requests import TaskFilter
from taskline_client.statistics import Stats
from taskline_client.types import Task, TaskState

# Of the rates: short enough to be news.
WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A deployment as it was at one time, give or take the calls that it took."""

    info: ServerInfo
    # Of the call that told `info`: halfway through it, by the own clock, and how long it took.
    asked_at: datetime
    round_trip: timedelta
    queues: Sequence[Queue]
    workers: Sequence[Worker]
    stats: Stats
    # Those that have run longest.
    running: Sequence[Task]


async def look(connection: Connection, *, most_running: int, samples: int = 1) -> Look:
    """Ask for everything; times are the best of some samples, for one may be bad luck."""
    calls = DeploymentCalls(connection)
    seen = [await _greeting(calls) for _ in range(samples)]
    asked_at, round_trip, info = min(seen, key=lambda each: each[1])
    latency = min(each.store_latency or timedelta() for *_, each in seen)
    queues, stats, running = await asyncio.gather(
        calls.queues(),
        calls.stats(window=WINDOW),
        _running(connection, most_running),
    )
    return Look(
        info=replace(info, store_latency=latency),
        asked_at=asked_at,
        round_trip=round_trip,
        queues=queues,
        # After the tasks: one that started meanwhile must not seem to have no worker.
        workers=await calls.workers(),
        stats=stats,
        running=running,
    )


async def _greeting(calls: DeploymentCalls) -> tuple[datetime, timedelta, ServerInfo]:
    """When it was by the own clock, how long it took, and what was told."""
    before, began = datetime.now(UTC), monotonic()
    info = await calls.server_info()
    round_trip = timedelta(seconds=monotonic() - began)
    return before + round_trip / 2, round_trip, info


async def _running(connection: Connection, most: int) -> list[Task]:
    """The oldest of those that run now."""
    request = service.ListTasksRequest(
        filter=task_filter(TaskFilter(states=[TaskState.RUNNING])),
        page_size=most,
        order_by="create_time",
    )
    answer = await connection.call(connection.tasks.ListTasks, request)
    return [task for task in map(task_from, answer.tasks) if task.state is TaskState.RUNNING]
