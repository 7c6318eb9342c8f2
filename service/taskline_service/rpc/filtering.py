"""TaskFilter: whether a task matches, and what a filter may not say. Pure."""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc.convert import ERROR_TYPE_TO_PB, STATE_FROM_PB, STATE_TO_PB
from taskline_service.rpc.fields import Checker
from taskline_service.task import Task

_T = TypeVar("_T")

_TIMES = ("min_create_time", "max_create_time", "min_end_time", "max_end_time")
_ERROR_TYPES = frozenset(ERROR_TYPE_TO_PB.values())
_NANOS_PER_S = 1_000_000_000


def check_filter(check: Checker, task_filter: pb.TaskFilter) -> None:
    """Note what is wrong with a filter."""
    if any(state not in STATE_FROM_PB for state in task_filter.states):
        check.wrong("filter.states", "has a state that this server does not know")
    if any(kind not in _ERROR_TYPES for kind in task_filter.error_types):
        check.wrong("filter.error_types", "has a type that this server does not know")
    if task_filter.min_attempts < 0:
        check.wrong("filter.min_attempts", "must not be negative")
    for name in _TIMES:
        if task_filter.HasField(name):  # type: ignore[arg-type]  # the names are those above
            check.instant(f"filter.{name}", getattr(task_filter, name))


def matches(task_filter: pb.TaskFilter, task: Task) -> bool:
    """Whether every condition that is set holds for the task."""
    wanted, spec = task_filter, task.spec
    return (
        _one_of(wanted.queues, spec.queue)
        and _one_of(wanted.task_types, spec.task_type)
        and _one_of(wanted.states, STATE_TO_PB[task.state])
        and _one_of(wanted.workers, task.worker)
        and _one_of(
            wanted.error_types, ERROR_TYPE_TO_PB[task.error.error_type] if task.error else None
        )
        and all(spec.labels.get(key) == value for key, value in wanted.labels.items())
        and task.attempts >= wanted.min_attempts
        and _created_within(wanted, task)
        and _ended_within(wanted, task)
    )


def _one_of(wanted: Sequence[_T], value: _T | None) -> bool:
    return not wanted or value in wanted


def _created_within(wanted: pb.TaskFilter, task: Task) -> bool:
    after_min = not wanted.HasField("min_create_time") or _reached(
        task.create_us, wanted.min_create_time
    )
    before_max = not wanted.HasField("max_create_time") or not _reached(
        task.create_us, wanted.max_create_time
    )
    return after_min and before_max


def _ended_within(wanted: pb.TaskFilter, task: Task) -> bool:
    """One that has not ended did so at no time."""
    if not wanted.HasField("min_end_time") and not wanted.HasField("max_end_time"):
        return True
    after_min = not wanted.HasField("min_end_time") or _reached(task.end_us, wanted.min_end_time)
    before_max = not wanted.HasField("max_end_time") or not _reached(
        task.end_us, wanted.max_end_time
    )
    return task.end_us > 0 and after_min and before_max


def _reached(us: int, time: Timestamp) -> bool:
    """Whether an instant is at or after a time, which may be finer than microseconds."""
    return us * 1000 >= time.seconds * _NANOS_PER_S + time.nanos
