"""`top`: the whole deployment on one screen."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TextIO

from taskline_client._connection import Connection
from taskline_client.cli.connecting import run_connected
from taskline_client.cli.deployment import WINDOW, Look, look
from taskline_client.cli.exits import Exit
from taskline_client.cli.show import QUEUES, WORKERS, queue_row, worker_row
from taskline_client.cli.tables import Column, Row, print_plain
from taskline_client.cli.text import on_one_line, progress_text, share_text, span_text, time_text
from taskline_client.errors import CallFailed
from taskline_client.types import Task, TaskState

_MOST_RUNNING = 100
# Looking more often would only load the server.
_LEAST_INTERVAL = timedelta(milliseconds=100)

RUNNING = (
    Column("ID", whole=True),
    Column("TASK_TYPE", rank=1),
    Column("PROGRESS"),
    Column("RUNS_FOR"),
    Column("WORKER", rank=3),
    Column("MESSAGE", rank=2, last=True),
)


def top(address: str, *, once: bool, interval: timedelta) -> None:
    """A live screen on a terminal, until q or Ctrl-C; otherwise one snapshot."""
    live = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")

    async def work(connection: Connection) -> int:
        if once or not live:
            print_snapshot(await look(connection, most_running=_MOST_RUNNING), address, sys.stdout)
            return Exit.OK
        return await _refresh(connection, interval)

    run_connected(address, work)


async def _refresh(connection: Connection, interval: timedelta) -> int:
    from taskline_client.cli.keys import on_key
    from taskline_client.cli.screen import Screen

    here = asyncio.current_task()
    assert here is not None
    with Screen(connection.address) as screen, on_key("q", here.cancel):
        try:
            while True:
                try:
                    screen.show(await look(connection, most_running=_MOST_RUNNING))
                except CallFailed as error:
                    screen.show_error(error)
                await asyncio.sleep(max(interval, _LEAST_INTERVAL).total_seconds())
        except asyncio.CancelledError:
            return Exit.OK


def print_snapshot(seen: Look, address: str, stream: TextIO) -> None:
    """The same as on the screen, in plain text."""
    for line in headline(seen, address):
        print(line, file=stream)
    tables: tuple[tuple[tuple[Column, ...], list[Row]], ...] = (
        (QUEUES, [queue_row(queue) for queue in seen.queues]),
        (WORKERS, [worker_row(worker) for worker in seen.workers]),
        (RUNNING, [running_row(task, now_of(seen)) for task in seen.running]),
    )
    for columns, rows in tables:
        print(file=stream)
        print_plain(columns, rows, stream)


def headline(seen: Look, address: str) -> list[str]:
    """Who answers; how many tasks there are; how fast they come and go."""
    info, stats = seen.info, seen.stats
    states = "  ".join(
        f"{stats.states.get(state, 0)} {state.lower()}"
        for state in TaskState
        if state is not TaskState.UNKNOWN and (stats.states.get(state) or _always(state))
    )
    about = (
        f"taskline {info.version} at {address}",
        time_text(now_of(seen)),
        f"namespace {info.namespace}",
        info.store_version,
    )
    ended = stats.states.get(TaskState.COMPLETED, 0) + stats.states.get(TaskState.FAILED, 0)
    rate = f"  success_rate {share_text(stats.success_rate)}" if ended else ""
    return [
        "  ".join(map(on_one_line, about)),
        f"tasks: {states}{rate}",
        rates(seen),
    ]


def rates(seen: Look) -> str:
    """Per second over the last minutes."""
    history = seen.stats.history
    if not history or history[0].start_time is None:
        return "rates: none yet"
    seconds = max((now_of(seen) - history[0].start_time).total_seconds(), 1)

    def per_second(name: str) -> str:
        return f"{sum(getattr(bucket, name) for bucket in history) / seconds:.2g}"

    what = "  ".join(
        f"{name} {per_second(name)}/s" for name in ("enqueued", "completed", "failed", "retried")
    )
    spans = "".join(
        # Of the worst minute: percentiles of several cannot be put together.
        f"  {name} up to {span_text(max(known))}"
        for name in ("queue_time_p95", "run_time_p95")
        if (known := [span for bucket in history if (span := getattr(bucket, name)) is not None])
    )
    return f"last {span_text(WINDOW)}: {what}{spans}"


def running_row(task: Task, now: datetime) -> Row:
    """The cells of a task that runs."""
    return (
        task.id,
        task.task_type,
        progress_text(task.progress) if task.progress else "",
        span_text(max(now - task.start_time, timedelta())) if task.start_time else "",
        task.worker,
        task.progress.message if task.progress else "",
    )


def now_of(seen: Look) -> datetime:
    """By the store's clock, as all times of tasks are."""
    return seen.info.store_time or datetime.now(UTC)


def _always(state: TaskState) -> bool:
    return state in (TaskState.QUEUED, TaskState.RUNNING, TaskState.COMPLETED, TaskState.FAILED)
