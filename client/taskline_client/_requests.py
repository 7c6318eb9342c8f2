"""The client's own values to protobuf: requests. Pure but for the fresh request ids."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._convert import ERROR_TYPES, STATES
from taskline_client._payload import to_payload
from taskline_client.requests import (
    NO_INPUT,
    ConflictPolicy,
    EnqueueRequest,
    TaskFilter,
)
from taskline_client.types import ErrorType, RetryPolicy, TaskState

# Of the contract; and below the 4 MiB that gRPC takes in one message.
MAX_BATCH = 1000
MAX_BATCH_BYTES = 3 * 1024 * 1024

CONFLICT_POLICIES: Mapping[ConflictPolicy, service.ConflictPolicy.ValueType] = {
    ConflictPolicy.REJECT: service.CONFLICT_POLICY_REJECT,
    ConflictPolicy.USE_EXISTING: service.CONFLICT_POLICY_USE_EXISTING,
    ConflictPolicy.REPLACE_TERMINAL: service.CONFLICT_POLICY_REPLACE_TERMINAL,
}

_NUMBERS: Mapping[TaskState, int] = {state: number for number, state in STATES.items() if number}
_ERROR_NUMBERS: Mapping[ErrorType, int] = {
    kind: number for number, kind in ERROR_TYPES.items() if number
}


def enqueue_request(request: EnqueueRequest[Any]) -> service.EnqueueRequest:
    """Always with a request_id, so that it can be repeated."""
    options = request.options
    return service.EnqueueRequest(
        task_type=request.task_type,
        input=None if request.input is NO_INPUT else to_payload(request.input),
        task_id=options.task_id or "",
        request_id=options.request_id or uuid4().hex,
        conflict_policy=CONFLICT_POLICIES[options.conflict_policy],
        queue=options.queue or "",
        priority=options.priority,
        schedule_time=timestamp(options.schedule_time),
        delay=duration(options.delay),
        queue_timeout=duration(options.queue_timeout),
        execution_timeout=duration(options.execution_timeout),
        retry_policy=_retry_policy(options.retry_policy),
        result_ttl=duration(options.result_ttl),
        labels=options.labels,
    )


def get_request(task_id: str) -> service.GetTaskRequest:
    """Everything about a task."""
    return service.GetTaskRequest(task_id=task_id, payload_format=pb.PAYLOAD_FORMAT_JSON_BYTES)


def cancel_request(task_id: str, reason: str) -> service.CancelTaskRequest:
    """To stop a task."""
    return service.CancelTaskRequest(task_id=task_id, reason=reason)


def events_request(task_id: str, page_token: str) -> service.ListTaskEventsRequest:
    """A page of what was recorded of a task."""
    return service.ListTaskEventsRequest(
        task_id=task_id, page_token=page_token, payload_format=pb.PAYLOAD_FORMAT_JSON_BYTES
    )


def watch_request(
    task_ids: Iterable[str] = (), *, tasks: TaskFilter | None = None, resume_token: str = ""
) -> service.WatchRequest:
    """To follow these tasks, or instead all that match."""
    return service.WatchRequest(
        task_ids=task_ids,
        filter=None if tasks is None else task_filter(tasks),
        resume_token=resume_token,
        payload_format=pb.PAYLOAD_FORMAT_JSON_BYTES,
    )


def list_request(
    tasks: TaskFilter | None, *, oldest_first: bool, page_size: int, page_token: str
) -> service.ListTasksRequest:
    """A page of the tasks that match; of all without a filter."""
    return service.ListTasksRequest(
        filter=task_filter(tasks or TaskFilter()),
        page_size=page_size,
        page_token=page_token,
        order_by="create_time" if oldest_first else "create_time desc",
        payload_format=pb.PAYLOAD_FORMAT_JSON_BYTES,
    )


def batches(
    requests: Iterable[service.EnqueueRequest],
) -> Iterator[service.BatchEnqueueRequest]:
    """The requests in order, in as few calls as the limits allow."""
    batch, size = service.BatchEnqueueRequest(), 0
    for request in requests:
        # Its tag and length add a few bytes to each.
        added = request.ByteSize() + 8
        if batch.requests and (len(batch.requests) == MAX_BATCH or size + added > MAX_BATCH_BYTES):
            yield batch
            batch, size = service.BatchEnqueueRequest(), 0
        batch.requests.append(request)
        size += added
    if batch.requests:
        yield batch


def task_filter(tasks: TaskFilter) -> service.TaskFilter:
    """Raises ValueError for a state that cannot be asked for."""
    return service.TaskFilter(
        queues=tasks.queues,
        task_types=tasks.task_types,
        states=[state_number(state) for state in tasks.states],
        labels=tasks.labels,
        min_create_time=timestamp(tasks.min_create_time),
        max_create_time=timestamp(tasks.max_create_time),
        min_end_time=timestamp(tasks.min_end_time),
        max_end_time=timestamp(tasks.max_end_time),
        min_attempts=tasks.min_attempts,
        error_types=[
            pb.TaskError.Type.ValueType(_ERROR_NUMBERS[kind]) for kind in tasks.error_types
        ],
        workers=tasks.workers,
    )


def stats_request(queues: Iterable[str], window: timedelta | None) -> service.GetStatsRequest:
    """Without a window, the server's own."""
    return service.GetStatsRequest(queues=queues, window=duration(window))


def state_number(state: TaskState) -> pb.Task.State.ValueType:
    """The state on the wire."""
    if state not in _NUMBERS:
        raise ValueError(f"{state}: not a state to ask for")
    return pb.Task.State.ValueType(_NUMBERS[state])


def duration(span: timedelta | None) -> Duration | None:
    """None stays unset."""
    if span is None:
        return None
    if not isinstance(span, timedelta):
        raise TypeError(f"{span!r}: a span must be a timedelta")
    value = Duration()
    value.FromTimedelta(span)
    return value


def timestamp(time: datetime | None) -> Timestamp | None:
    """None stays unset; a naive time is refused, for nobody knows what it means."""
    if time is None:
        return None
    if not isinstance(time, datetime):
        raise TypeError(f"{time!r}: a time must be a datetime")
    if time.tzinfo is None:
        raise ValueError(f"{time}: a time must be an aware datetime")
    value = Timestamp()
    value.FromDatetime(time)
    return value


def _retry_policy(policy: RetryPolicy | None) -> pb.RetryPolicy | None:
    if policy is None:
        return None
    return pb.RetryPolicy(
        max_attempts=policy.max_attempts or 0,
        initial_backoff=duration(policy.initial_backoff),
        max_backoff=duration(policy.max_backoff),
        backoff_multiplier=policy.backoff_multiplier or 0,
    )
