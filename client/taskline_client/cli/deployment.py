"""What `top` and `doctor` look at: one look at a whole deployment."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert import task_from
from taskline_client._convert_deployment import (
    queue_from,
    server_info_from,
    worker_from,
)
from taskline_client._convert_statistics import stats_from
from taskline_client._pages import pages
from taskline_client._requests import stats_request, task_filter
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
    seen = [await _greeting(connection) for _ in range(samples)]
    asked_at, round_trip, info = min(seen, key=lambda each: each[1])
    latency = min(each.store_latency or timedelta() for *_, each in seen)
    queues, stats, running = await asyncio.gather(
        _queues(connection),
        connection.call(connection.tasks.GetStats, stats_request((), WINDOW)),
        _running(connection, most_running),
    )
    return Look(
        info=replace(info, store_latency=latency),
        asked_at=asked_at,
        round_trip=round_trip,
        queues=queues,
        # After the tasks: one that started meanwhile must not seem to have no worker.
        workers=await _workers(connection),
        stats=stats_from(stats),
        running=running,
    )


async def _greeting(connection: Connection) -> tuple[datetime, timedelta, ServerInfo]:
    """When it was by the own clock, how long it took, and what was told."""
    before, began = datetime.now(UTC), monotonic()
    answer = await connection.call(connection.admin.GetServerInfo, admin.GetServerInfoRequest())
    round_trip = timedelta(seconds=monotonic() - began)
    return before + round_trip / 2, round_trip, server_info_from(answer)


async def _queues(connection: Connection) -> list[Queue]:
    async def fetch(token: str) -> admin.ListQueuesResponse:
        request = admin.ListQueuesRequest(page_token=token)
        return await connection.call(connection.admin.ListQueues, request)

    return [queue_from(queue) async for page in pages(fetch) for queue in page.queues]


async def _workers(connection: Connection) -> list[Worker]:
    async def fetch(token: str) -> admin.ListWorkersResponse:
        request = admin.ListWorkersRequest(page_token=token)
        return await connection.call(connection.admin.ListWorkers, request)

    return [worker_from(worker) async for page in pages(fetch) for worker in page.workers]


async def _running(connection: Connection, most: int) -> list[Task]:
    """The oldest of those that run now."""
    request = service.ListTasksRequest(
        filter=task_filter(TaskFilter(states=[TaskState.RUNNING])),
        page_size=most,
        order_by="create_time",
    )
    answer = await connection.call(connection.tasks.ListTasks, request)
    return [task for task in map(task_from, answer.tasks) if task.state is TaskState.RUNNING]
