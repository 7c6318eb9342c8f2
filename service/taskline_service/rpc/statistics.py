"""GetStats: from its request to what the store is asked, and back to the answer."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from taskline.v1 import task_service_pb2 as pb
from taskline_service import names
from taskline_service.limits import LONGEST_STATS_WINDOW, MAX_STATS_QUEUES
from taskline_service.rpc import fields
from taskline_service.rpc.convert import ERROR_TYPE_TO_PB, STATE_TO_PB, duration, timestamp
from taskline_service.store.statistics import Bucket, Stats
from taskline_service.task import TaskState

DEFAULT_WINDOW = timedelta(hours=1)


def window_of(request: pb.GetStatsRequest) -> timedelta:
    """How far back to look.

    Raises:
        InvalidInput: The request is wrong.
    """
    check = fields.Checker()
    window: timedelta | None = DEFAULT_WINDOW
    if request.HasField("window"):
        window = check.span("window", request.window, most=LONGEST_STATS_WINDOW)
    if len(set(request.queues)) > MAX_STATS_QUEUES:  # each has a history of its own to read
        check.wrong("queues", f"must be at most {MAX_STATS_QUEUES}, or none for all")
    check.texts("queues", request.queues, names.QUEUE, names.QUEUE_RULE)
    check.raise_if_wrong()
    assert window is not None
    return window


def stats_to_pb(stats: Stats) -> pb.GetStatsResponse:
    """The answer."""
    states = Counter[TaskState]()
    for counts in stats.states.values():
        states.update(counts)
    return pb.GetStatsResponse(
        states=_state_counts(states),
        total=states.total(),
        success_rate=_success_rate(states),
        error_types=[
            pb.GetStatsResponse.ErrorTypeCount(error_type=ERROR_TYPE_TO_PB[kind], count=count)
            for kind, count in stats.error_types.items()
        ],
        task_types=[
            pb.GetStatsResponse.TaskTypeStats(
                task_type=name, states=_state_counts(counts), success_rate=_success_rate(counts)
            )
            for name, counts in stats.states.items()
        ],
        history=[_bucket_to_pb(bucket) for bucket in stats.history],
    )


def _state_counts(counts: Mapping[TaskState, int]) -> list[pb.GetStatsResponse.StateCount]:
    """Every state, also those that no task is in."""
    return [
        pb.GetStatsResponse.StateCount(state=STATE_TO_PB[state], count=counts.get(state, 0))
        for state in TaskState
    ]


def _success_rate(counts: Mapping[TaskState, int]) -> float:
    completed, failed = counts.get(TaskState.COMPLETED, 0), counts.get(TaskState.FAILED, 0)
    return completed / (completed + failed) if completed + failed else 0.0


def _bucket_to_pb(bucket: Bucket) -> pb.GetStatsResponse.HistoryBucket:
    return pb.GetStatsResponse.HistoryBucket(
        start_time=timestamp(bucket.start_us),
        width=duration(bucket.width),
        enqueued=bucket.enqueued,
        completed=bucket.completed,
        failed=bucket.failed,
        retried=bucket.retried,
        queue_time_p50=duration(bucket.queue_time_p50),
        queue_time_p95=duration(bucket.queue_time_p95),
        run_time_p50=duration(bucket.run_time_p50),
        run_time_p95=duration(bucket.run_time_p95),
    )
