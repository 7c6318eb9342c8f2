"""`stats`: how tasks fare, counted now and over the last hour or so."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from taskline_client._connection import Connection
from taskline_client._convert_statistics import stats_from
from taskline_client._requests import stats_request
from taskline_client.cli.connecting import run_connected
from taskline_client.cli.exits import Exit
from taskline_client.cli.options import Output
from taskline_client.cli.show import print_answer
from taskline_client.cli.tables import Column, Row, print_facts, print_table
from taskline_client.cli.text import share_text, span_text, time_text
from taskline_client.statistics import HistoryBucket, Stats
from taskline_client.types import TaskState

_STATES = [state for state in TaskState if state is not TaskState.UNKNOWN]

HISTORY = (
    Column("START_TIME"),
    Column("ENQUEUED"),
    Column("COMPLETED"),
    Column("FAILED"),
    Column("RETRIED"),
    Column("QUEUE_TIME_P50", rank=3),
    Column("QUEUE_TIME_P95", rank=1),
    Column("RUN_TIME_P50", rank=3),
    Column("RUN_TIME_P95", rank=2),
)


def stats(address: str, queues: Sequence[str], window: timedelta | None, output: Output) -> None:
    """Print what GetStats tells; as ids, the task types."""

    async def work(connection: Connection) -> int:
        request = stats_request(queues, window)
        answer = await connection.call(connection.tasks.GetStats, request)
        print_answer(
            answer,
            output,
            ids=[one.task_type for one in answer.task_types],
            table=lambda: _print_stats(stats_from(answer)),
        )
        return Exit.OK

    run_connected(address, work)


def _print_stats(found: Stats) -> None:
    print_facts(
        (
            *((state, str(found.states.get(state, 0))) for state in _STATES),
            ("total", str(found.total)),
            ("success_rate", _rate(found.states, found.success_rate)),
            *((f"error_type {kind}", str(count)) for kind, count in found.error_types.items()),
        )
    )
    if found.task_types:
        print()
        print_task_type_stats(found)
    happened = [bucket for bucket in found.history if _busy(bucket)]
    if happened:
        print()
        print_table(HISTORY, [history_row(bucket) for bucket in happened])


def print_task_type_stats(found: Stats) -> None:
    """A row for each type, with the states that some task is in."""
    states = [state for state in _STATES if found.states.get(state)]
    columns = (
        Column("TASK_TYPE", whole=True),
        *(Column(state, rank=0 if state is TaskState.FAILED else 1) for state in states),
        Column("SUCCESS_RATE"),
    )
    rows: list[Row] = [
        (
            one.task_type,
            *(str(one.states.get(state, 0)) for state in states),
            _rate(one.states, one.success_rate),
        )
        for one in found.task_types
    ]
    print_table(columns, rows)


def history_row(bucket: HistoryBucket) -> Row:
    """The cells of a span of time."""
    return (
        time_text(bucket.start_time),
        str(bucket.enqueued),
        str(bucket.completed),
        str(bucket.failed),
        str(bucket.retried),
        span_text(bucket.queue_time_p50),
        span_text(bucket.queue_time_p95),
        span_text(bucket.run_time_p50),
        span_text(bucket.run_time_p95),
    )


def _busy(bucket: HistoryBucket) -> bool:
    return any((bucket.enqueued, bucket.completed, bucket.failed, bucket.retried))


def _rate(states: Mapping[TaskState, int], rate: float) -> str:
    """Nothing has succeeded or failed yet: no rate."""
    ended = states.get(TaskState.COMPLETED, 0) + states.get(TaskState.FAILED, 0)
    return share_text(rate) if ended else ""
