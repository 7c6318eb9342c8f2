"""Protobuf to the client's own values: statistics. Pure."""

from collections.abc import Iterable, Mapping

from taskline.v1 import task_service_pb2 as service
from taskline_client._convert import ERROR_TYPES, instant, span, state_from
from taskline_client.statistics import HistoryBucket, Stats, TaskTypeStats
from taskline_client.types import ErrorType, TaskState


def stats_from(stats: service.GetStatsResponse) -> Stats:
    """States and kinds of error that only a newer server knows count as UNKNOWN."""
    error_types: dict[ErrorType, int] = {}
    for entry in stats.error_types:
        kind = ERROR_TYPES.get(entry.error_type, ErrorType.UNKNOWN)
        error_types[kind] = error_types.get(kind, 0) + entry.count
    return Stats(
        total=stats.total,
        states=_states_from(stats.states),
        success_rate=stats.success_rate,
        error_types=error_types,
        task_types=tuple(
            TaskTypeStats(
                task_type=entry.task_type,
                states=_states_from(entry.states),
                success_rate=entry.success_rate,
            )
            for entry in stats.task_types
        ),
        history=tuple(_bucket_from(bucket) for bucket in stats.history),
    )


def _states_from(
    counts: Iterable[service.GetStatsResponse.StateCount],
) -> Mapping[TaskState, int]:
    states: dict[TaskState, int] = {}
    for entry in counts:
        state = state_from(entry.state)
        states[state] = states.get(state, 0) + entry.count
    return states


def _bucket_from(bucket: service.GetStatsResponse.HistoryBucket) -> HistoryBucket:
    return HistoryBucket(
        start_time=instant(bucket.start_time),
        width=span(bucket.width),
        enqueued=bucket.enqueued,
        completed=bucket.completed,
        failed=bucket.failed,
        retried=bucket.retried,
        queue_time_p50=span(bucket.queue_time_p50) if bucket.HasField("queue_time_p50") else None,
        queue_time_p95=span(bucket.queue_time_p95) if bucket.HasField("queue_time_p95") else None,
        run_time_p50=span(bucket.run_time_p50) if bucket.HasField("run_time_p50") else None,
        run_time_p95=span(bucket.run_time_p95) if bucket.HasField("run_time_p95") else None,
    )
