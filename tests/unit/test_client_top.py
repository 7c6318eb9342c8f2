"""The first lines of `top`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from taskline_client import HistoryBucket, ServerInfo, Stats
from taskline_client.cli.deployment import Look
from taskline_client.cli.top import rates

NOW = datetime(2026, 1, 31, 10, 5, tzinfo=UTC)


def seen(*history: HistoryBucket) -> Look:
    return Look(
        info=ServerInfo(version="1.0", namespace="default", store_time=NOW),
        asked_at=NOW,
        round_trip=timedelta(milliseconds=2),
        queues=[],
        workers=[],
        stats=Stats(history=history),
        running=[],
    )


def minute(ago: int, **happened: Any) -> HistoryBucket:
    return HistoryBucket(start_time=NOW - timedelta(minutes=ago), enqueued=60, **happened)


def test_the_times_of_the_last_minutes_are_those_of_the_worst() -> None:
    line = rates(
        seen(
            minute(2, queue_time_p95=timedelta(seconds=6), run_time_p95=timedelta(seconds=1)),
            minute(1, queue_time_p95=timedelta(milliseconds=2)),
        )
    )

    assert line.startswith("last 5m: enqueued 1/s  ")
    assert line.endswith("  queue_time_p95 up to 6s  run_time_p95 up to 1s")


def test_where_nothing_has_run_there_are_no_times() -> None:
    assert "p95" not in rates(seen(minute(1)))
