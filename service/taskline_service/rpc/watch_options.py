"""How a watcher wants its events."""

from dataclasses import dataclass, replace
from datetime import timedelta

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import names
from taskline_service.errors import InvalidInput
from taskline_service.limits import MAX_WATCHED_TASKS
from taskline_service.rpc import fields
from taskline_service.rpc.enums import payload_format
from taskline_service.rpc.filter_selection import CONDITIONS
from taskline_service.rpc.filtering import query_of_filter

SHORTEST_PROGRESS_INTERVAL = timedelta(milliseconds=20)
SHORTEST_HEARTBEAT_INTERVAL = timedelta(seconds=1)
DEFAULT_PROGRESS_INTERVAL = timedelta(milliseconds=100)
DEFAULT_HEARTBEAT_INTERVAL = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """In which form, and how often."""

    payload_format: task_pb2.PayloadFormat.ValueType = task_pb2.PAYLOAD_FORMAT_JSON
    min_progress_interval: timedelta = DEFAULT_PROGRESS_INTERVAL
    heartbeat_interval: timedelta = DEFAULT_HEARTBEAT_INTERVAL


def options_of(request: pb.WatchRequest) -> WatchOptions:
    """What the request asks for.

    Raises:
        InvalidInput: The request is wrong, in these fields or in what it names.
    """
    if request.HasField("filter") and request.task_ids:
        raise InvalidInput.of("filter", "only one of task_ids and filter can be set")
    check = fields.Checker()
    for descriptor, _ in request.filter.ListFields():
        if descriptor.name not in CONDITIONS:
            check.wrong(f"filter.{descriptor.name}", "cannot be watched: list instead")
    query_of_filter(request.filter)  # is it well-formed?
    if not request.HasField("filter") and not 1 <= len(set(request.task_ids)) <= MAX_WATCHED_TASKS:
        check.wrong("task_ids", f"must be 1 to {MAX_WATCHED_TASKS}, or filter must be set")
    for i, task_id in enumerate(request.task_ids):
        check.text(f"task_ids[{i}]", task_id, names.TASK_ID, names.TASK_ID_RULE)
    options = WatchOptions(payload_format=payload_format(request.payload_format))
    if request.HasField("min_progress_interval"):
        span = check.span(
            "min_progress_interval", request.min_progress_interval, least=SHORTEST_PROGRESS_INTERVAL
        )
        options = replace(options, min_progress_interval=span or SHORTEST_PROGRESS_INTERVAL)
    if request.HasField("heartbeat_interval"):
        span = check.span(
            "heartbeat_interval", request.heartbeat_interval, least=SHORTEST_HEARTBEAT_INTERVAL
        )
        options = replace(options, heartbeat_interval=span or SHORTEST_HEARTBEAT_INTERVAL)
    check.raise_if_wrong()
    return options
