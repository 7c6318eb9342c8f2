"""TaskFilter: is it well-formed, and what to ask the store for. Pure."""

from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_service_pb2 as pb
from taskline_service import names
from taskline_service.rpc import fields
from taskline_service.rpc.convert import (
    ERROR_TYPE_FROM_PB,
    STATE_FROM_PB,
)
from taskline_service.store.values import ListQuery


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
    check.texts("queues", chosen.queues, names.QUEUE, names.QUEUE_RULE)
    check.texts("task_types", chosen.task_types, names.TASK_TYPE, names.TASK_TYPE_RULE)
    check.texts("workers", chosen.workers, names.WORKER, names.WORKER_RULE)
    check.labels("labels", chosen.labels)

    def instant(name: str) -> int | None:
        value: Timestamp = getattr(chosen, name)
        if not chosen.HasField(name):  # type: ignore[arg-type]  # one of its four times
            return None
        check.instant(name, value)
        return first_us_from(value)

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


def first_us_from(value: Timestamp) -> int:
    """The first whole microsecond that is not before an instant."""
    return value.seconds * 1_000_000 - (-value.nanos // 1000)
