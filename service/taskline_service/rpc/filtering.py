"""TaskFilter: is it well-formed, what to ask the store, does a task match. Pure."""

from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc import fields
from taskline_service.rpc.convert import (
    ERROR_TYPE_FROM_PB,
    ERROR_TYPE_TO_PB,
    STATE_FROM_PB,
    STATE_TO_PB,
)
from taskline_service.store.values import ListQuery
from taskline_service.task import Task


def query_of_filter(chosen: pb.TaskFilter) -> ListQuery:
    """What to ask the store for.

    Raises:
        InvalidInput: A condition is wrong.
    """
    check = fields.Checker("filter.")
    if not STATE_FROM_PB.keys() >= set(chosen.states):
        check.wrong("states", "has a state that this server does not know")
    if not ERROR_TYPE_FROM_PB.keys() >= set(chosen.error_types):
        check.wrong("error_types", "has a type that this server does not know")
    if chosen.min_attempts < 0:
        check.wrong("min_attempts", "must not be negative")
    check.labels("labels", chosen.labels)

    def instant(name: str) -> int | None:
        value: Timestamp = getattr(chosen, name)
        if not chosen.HasField(name):  # type: ignore[arg-type]  # one of its four times
            return None
        check.instant(name, value)
        return _from_then_on(value)

    query = ListQuery(
        states=[STATE_FROM_PB[s] for s in chosen.states if s in STATE_FROM_PB] or None,
        task_types=list(chosen.task_types) or None,
        queues=list(chosen.queues) or None,
        labels=dict(chosen.labels),
        min_create_us=instant("min_create_time"),
        max_create_us=instant("max_create_time"),
        min_end_us=instant("min_end_time"),
        max_end_us=instant("max_end_time"),
        min_attempts=chosen.min_attempts or None,
        error_types=[ERROR_TYPE_FROM_PB[e] for e in chosen.error_types if e in ERROR_TYPE_FROM_PB]
        or None,
        workers=list(chosen.workers) or None,
    )
    check.raise_if_wrong()
    return query


def matches(chosen: pb.TaskFilter, task: Task) -> bool:
    """Whether a task meets every condition that is set; lua/list.lua says the same."""
    spec, error = task.spec, task.error
    return (
        (not chosen.queues or spec.queue in chosen.queues)
        and (not chosen.task_types or spec.task_type in chosen.task_types)
        and (not chosen.states or STATE_TO_PB[task.state] in chosen.states)
        and all(spec.labels.get(key) == value for key, value in chosen.labels.items())
        and _within(chosen, "create_time", task.create_us)
        and _within(chosen, "end_time", task.end_us)
        and task.attempts >= chosen.min_attempts
        and (
            not chosen.error_types
            or (error is not None and ERROR_TYPE_TO_PB[error.error_type] in chosen.error_types)
        )
        and (not chosen.workers or task.worker in chosen.workers)
    )


def _within(chosen: pb.TaskFilter, name: str, us: int) -> bool:
    """Whether an instant of a task, 0 if it has not come, is within the two that are set."""
    least, end = f"min_{name}", f"max_{name}"
    has_least, has_end = chosen.HasField(least), chosen.HasField(end)  # type: ignore[arg-type]
    if not us and (has_least or has_end):
        return False
    return (not has_least or us >= _from_then_on(getattr(chosen, least))) and (
        not has_end or us < _from_then_on(getattr(chosen, end))
    )


def _from_then_on(value: Timestamp) -> int:
    """The first whole microsecond that is not before an instant."""
    return value.seconds * 1_000_000 - (-value.nanos // 1000)
