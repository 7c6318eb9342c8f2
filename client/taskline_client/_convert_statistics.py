"""Protobuf to the client's own values: statistics. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from taskline.v1 import task_service_pb2 as service
from taskline_client._convert import error_type_from, instant, span, state_from
from taskline_client.statistics import HistoryBucket, Stats, TaskTypeStats
from taskline_client.types import ErrorType, TaskState

_History = service.GetStatsResponse.HistoryBucket


def stats_from(answer: service.GetStatsResponse) -> Stats:
    """What only a newer server knows is counted as UNKNOWN."""
    errors = Counter[ErrorType]()
    for kind in answer.error_types:
        errors[error_type_from(kind.error_type)] += kind.count
    return Stats(
        states=_states_from(answer.states),
        total=answer.total,
        success_rate=answer.success_rate,
        error_types=dict(errors),
        task_types=tuple(
            TaskTypeStats(
                task_type=one.task_type,
                states=_states_from(one.states),
                success_rate=one.success_rate,
            )
            for one in answer.task_types
        ),
        history=tuple(_bucket_from(bucket) for bucket in answer.history),
    )


def _states_from(counts: Iterable[service.GetStatsResponse.StateCount]) -> Mapping[TaskState, int]:
    states = Counter[TaskState]()
    for one in counts:
        states[state_from(one.state)] += one.count
    return dict(states)


def _bucket_from(bucket: _History) -> HistoryBucket:
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
