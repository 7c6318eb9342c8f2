"""How the tasks of a deployment fare: counts of now, and what happened lately."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from taskline_client.types import ErrorType, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTypeStats:
    """The tasks of one type that are now known."""

    task_type: str
    states: Mapping[TaskState, int] = field(default_factory=dict)
    # completed / (completed + failed); 0 if there are none.
    success_rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryBucket:
    """What happened in one span of time. Its times are estimates, at most 10 percent off."""

    start_time: datetime | None = None
    width: timedelta = timedelta()
    enqueued: int = 0
    completed: int = 0
    # For good.
    failed: int = 0
    # Attempts that failed and were or will be repeated.
    retried: int = 0
    # From due to start; None if nothing started.
    queue_time_p50: timedelta | None = None
    queue_time_p95: timedelta | None = None
    # Of one attempt; None if none ended.
    run_time_p50: timedelta | None = None
    run_time_p95: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """All tasks that are now known, or those of some queues."""

    states: Mapping[TaskState, int] = field(default_factory=dict)
    # The sum of `states`.
    total: int = 0
    # completed / (completed + failed); 0 if there are none.
    success_rate: float = 0.0
    # Of the failed ones.
    error_types: Mapping[ErrorType, int] = field(default_factory=dict)
    task_types: tuple[TaskTypeStats, ...] = ()
    # Oldest first.
    history: tuple[HistoryBucket, ...] = ()
