"""Protobuf to the client's own values: tasks and what they are made of. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_pb2 as pb
from taskline_client._payload import from_payload
from taskline_client.types import (
    Attempt,
    ErrorType,
    Progress,
    RetryPolicy,
    Task,
    TaskError,
    TaskState,
)

STATES: Mapping[int, TaskState] = {
    pb.Task.STATE_UNSPECIFIED: TaskState.UNKNOWN,
    pb.Task.STATE_SCHEDULED: TaskState.SCHEDULED,
    pb.Task.STATE_QUEUED: TaskState.QUEUED,
    pb.Task.STATE_RUNNING: TaskState.RUNNING,
    pb.Task.STATE_RETRYING: TaskState.RETRYING,
    pb.Task.STATE_COMPLETED: TaskState.COMPLETED,
    pb.Task.STATE_FAILED: TaskState.FAILED,
    pb.Task.STATE_CANCELLED: TaskState.CANCELLED,
}

ERROR_TYPES: Mapping[int, ErrorType] = {
    pb.TaskError.TYPE_UNSPECIFIED: ErrorType.UNKNOWN,
    pb.TaskError.TYPE_RUNTIME: ErrorType.RUNTIME,
    pb.TaskError.TYPE_TIMEOUT: ErrorType.TIMEOUT,
    pb.TaskError.TYPE_SERIALIZATION: ErrorType.SERIALIZATION,
    pb.TaskError.TYPE_STORAGE: ErrorType.STORAGE,
    pb.TaskError.TYPE_WORKER_LOST: ErrorType.WORKER_LOST,
    pb.TaskError.TYPE_QUEUE_TIMEOUT: ErrorType.QUEUE_TIMEOUT,
    pb.TaskError.TYPE_CANCELLED: ErrorType.CANCELLED,
    pb.TaskError.TYPE_UNKNOWN: ErrorType.UNKNOWN,
}


def state_from(number: int) -> TaskState:
    """UNKNOWN for a state that only a newer server knows."""
    return STATES.get(number, TaskState.UNKNOWN)


def error_type_from(number: int) -> ErrorType:
    """UNKNOWN for a type that only a newer server knows."""
    return ERROR_TYPES.get(number, ErrorType.UNKNOWN)


def task_from(task: pb.Task) -> Task:
    """Times that are unset become None, everything else its default."""
    return Task(
        id=task.id,
        uid=task.uid,
        task_type=task.task_type,
        queue=task.queue,
        state=state_from(task.state),
        attempts=task.attempts,
        max_attempts=task.max_attempts,
        priority=task.priority,
        **_times_of(task),
        progress=progress_from(task.progress) if task.HasField("progress") else None,
        worker=task.worker,
        labels=dict(task.labels),
        error=error_from(task.error) if task.HasField("error") else None,
        trace_id=task.trace_id,
        resume_token=task.resume_token,
        input_size=task.input_size,
        result_size=task.result_size,
        execution_timeout=(
            span(task.execution_timeout) if task.HasField("execution_timeout") else None
        ),
        queue_timeout=span(task.queue_timeout) if task.HasField("queue_timeout") else None,
        input=from_payload(task.input),
        attempt_history=tuple(_attempt_from(attempt) for attempt in task.attempt_history),
        retry_policy=(
            retry_policy_from(task.retry_policy) if task.HasField("retry_policy") else None
        ),
    )


def _times_of(task: pb.Task) -> dict[str, datetime | None]:
    return {
        "create_time": instant(task.create_time),
        "schedule_time": instant(task.schedule_time),
        "start_time": instant(task.start_time),
        "end_time": instant(task.end_time),
        "update_time": instant(task.update_time),
        "cancel_request_time": instant(task.cancel_request_time),
        "result_expire_time": instant(task.result_expire_time),
        "expire_time": instant(task.expire_time),
    }


def error_from(error: pb.TaskError) -> TaskError:
    """An unknown type reads as ErrorType.UNKNOWN."""
    return TaskError(
        error_type=error_type_from(error.error_type),
        message=error.message,
        exception_class=error.exception_class,
        traceback=error.traceback,
        retry_count=error.retry_count,
        is_retryable=error.is_retryable,
        error_time=instant(error.error_time),
        details=struct_from(error.details) if error.HasField("details") else None,
    )


def progress_from(progress: pb.Progress) -> Progress:
    """The total is None while it is unknown."""
    return Progress(
        current=progress.current,
        total=progress.total if progress.HasField("total") else None,
        percentage=progress.percentage,
        message=progress.message,
        update_time=instant(progress.update_time),
        details=struct_from(progress.details) if progress.HasField("details") else None,
    )


def retry_policy_from(policy: pb.RetryPolicy) -> RetryPolicy:
    """What is unset becomes None."""
    return RetryPolicy(
        max_attempts=policy.max_attempts or None,
        initial_backoff=(
            span(policy.initial_backoff) if policy.HasField("initial_backoff") else None
        ),
        max_backoff=span(policy.max_backoff) if policy.HasField("max_backoff") else None,
        backoff_multiplier=policy.backoff_multiplier or None,
    )


def _attempt_from(attempt: pb.Attempt) -> Attempt:
    return Attempt(
        number=attempt.number,
        worker=attempt.worker,
        start_time=instant(attempt.start_time),
        end_time=instant(attempt.end_time),
        error=error_from(attempt.error) if attempt.HasField("error") else None,
    )


def instant(timestamp: Timestamp) -> datetime | None:
    """None if unset: the epoch itself is no time that anything here happened."""
    if not timestamp.seconds and not timestamp.nanos:
        return None
    return timestamp.ToDatetime(tzinfo=UTC)


def span(duration: Duration) -> timedelta:
    """Whole microseconds."""
    return duration.ToTimedelta()


def struct_from(struct: Struct) -> dict[str, Any]:
    """A JSON object as a dict."""
    return json_format.MessageToDict(struct)
