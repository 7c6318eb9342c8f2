"""From what the service knows to what the contract says. Pure."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import admin_service_pb2 as admin_pb
from taskline.v1 import task_pb2 as pb
from taskline_service import telemetry
from taskline_service.limits import MAX_ANSWER_BYTES, MAX_ANSWERED_INPUT_BYTES
from taskline_service.rpc import json_value, tokens
from taskline_service.rpc.payload import json_bytes_to_payload
from taskline_service.store import QueueInfo, WorkerInfo
from taskline_service.task import (
    Attempt,
    ErrorType,
    Progress,
    RetryPolicy,
    Task,
    TaskError,
    TaskState,
)
from taskline_service.tasks import TaskTypeInfo

_US_PER_S = 1_000_000
# What a traceback adds to the lengths written before it and before what it is part of.
_LENGTHS_BYTES = 16

STATE_TO_PB = {
    TaskState.SCHEDULED: pb.Task.STATE_SCHEDULED,
    TaskState.QUEUED: pb.Task.STATE_QUEUED,
    TaskState.RUNNING: pb.Task.STATE_RUNNING,
    TaskState.RETRYING: pb.Task.STATE_RETRYING,
    TaskState.COMPLETED: pb.Task.STATE_COMPLETED,
    TaskState.FAILED: pb.Task.STATE_FAILED,
    TaskState.CANCELLED: pb.Task.STATE_CANCELLED,
}
STATE_FROM_PB = {number: state for state, number in STATE_TO_PB.items()}

ERROR_TYPE_TO_PB = {
    ErrorType.RUNTIME: pb.TaskError.TYPE_RUNTIME,
    ErrorType.TIMEOUT: pb.TaskError.TYPE_TIMEOUT,
    ErrorType.SERIALIZATION: pb.TaskError.TYPE_SERIALIZATION,
    ErrorType.STORAGE: pb.TaskError.TYPE_STORAGE,
    ErrorType.WORKER_LOST: pb.TaskError.TYPE_WORKER_LOST,
    ErrorType.QUEUE_TIMEOUT: pb.TaskError.TYPE_QUEUE_TIMEOUT,
    ErrorType.CANCELLED: pb.TaskError.TYPE_CANCELLED,
    ErrorType.UNKNOWN: pb.TaskError.TYPE_UNKNOWN,
}
ERROR_TYPE_FROM_PB = {number: kind for kind, number in ERROR_TYPE_TO_PB.items()}


def timestamp(us: int) -> Timestamp | None:
    """An instant; None if it has not come (0)."""
    if not us:
        return None
    return Timestamp(seconds=us // _US_PER_S, nanos=us % _US_PER_S * 1000)


def duration(span: timedelta | None) -> Duration | None:
    """A span; None stays None."""
    if span is None:
        return None
    return Duration(seconds=span.days * 86400 + span.seconds, nanos=span.microseconds * 1000)


def task_to_pb(
    task: Task,
    *,
    full: bool = False,
    payload_format: pb.PayloadFormat.ValueType = pb.PAYLOAD_FORMAT_JSON,
) -> pb.Task:
    """A task, BASIC unless `full`; the task must then have been read in full."""
    spec = task.spec
    message = pb.Task(
        id=spec.id,
        uid=spec.uid,
        task_type=spec.task_type,
        queue=spec.queue,
        state=STATE_TO_PB[task.state],
        attempts=task.attempts,
        max_attempts=spec.retry_policy.max_attempts,
        priority=spec.priority,
        create_time=timestamp(task.create_us),
        schedule_time=timestamp(task.schedule_us),
        start_time=timestamp(task.start_us),
        end_time=timestamp(task.end_us),
        update_time=timestamp(task.update_us),
        cancel_request_time=timestamp(task.cancel_request_us),
        result_expire_time=timestamp(task.result_expire_us),
        expire_time=timestamp(task.expire_us),
        progress=progress_to_pb(task.progress),
        worker=task.worker,
        labels=spec.labels,
        error=error_to_pb(task.error, with_traceback=full),
        trace_id=telemetry.trace_id_of(spec.trace),
        resume_token=tokens.task_token(spec.id, task.revision),
        result_size=task.result_size,
        input_size=task.input_size,
        execution_timeout=duration(spec.execution_timeout),
        queue_timeout=duration(spec.queue_timeout),
    )
    if full:
        _add_full_view(message, task, payload_format)
    return message


def _add_full_view(
    message: pb.Task, task: Task, payload_format: pb.PayloadFormat.ValueType
) -> None:
    task_input = json_bytes_to_payload(
        task.spec.input, payload_format, max_size=MAX_ANSWERED_INPUT_BYTES
    )
    if task_input is not None:
        message.input.CopyFrom(task_input)
    message.retry_policy.CopyFrom(retry_policy_to_pb(task.spec.retry_policy))
    _add_history(message, task.attempt_history)


def _add_history(message: pb.Task, attempts: Sequence[Attempt]) -> None:
    """All attempts; where an answer has not room for all tracebacks, the oldest are left out."""
    history = [attempt_to_pb(attempt, with_traceback=False) for attempt in attempts]
    message.attempt_history.extend(history)
    left = MAX_ANSWER_BYTES - message.ByteSize()
    for entry, attempt in zip(reversed(message.attempt_history), reversed(attempts), strict=True):
        if attempt.error:
            left -= len(attempt.error.traceback.encode()) + _LENGTHS_BYTES
            if left < 0:
                return
            entry.error.traceback = attempt.error.traceback


def attempt_to_pb(attempt: Attempt, *, with_traceback: bool) -> pb.Attempt:
    """One execution."""
    return pb.Attempt(
        number=attempt.number,
        worker=attempt.worker,
        start_time=timestamp(attempt.start_us),
        end_time=timestamp(attempt.end_us),
        error=error_to_pb(attempt.error, with_traceback=with_traceback),
    )


def error_to_pb(error: TaskError | None, *, with_traceback: bool) -> pb.TaskError | None:
    """A failure; None stays None."""
    if error is None:
        return None
    message = pb.TaskError(
        error_type=ERROR_TYPE_TO_PB[error.error_type],
        exception_class=error.exception_class,
        message=error.message,
        traceback=error.traceback if with_traceback else "",
        retry_count=error.retry_count,
        is_retryable=error.is_retryable,
        error_time=timestamp(error.error_us),
    )
    if error.details is not None:
        message.details.CopyFrom(json_value.struct_of(error.details))
    return message


def progress_to_pb(progress: Progress | None) -> pb.Progress | None:
    """Progress; None stays None."""
    if progress is None:
        return None
    message = pb.Progress(
        current=progress.current,
        total=progress.total,
        percentage=progress.percentage,
        message=progress.message,
        update_time=timestamp(progress.update_us),
    )
    if progress.details is not None:
        message.details.CopyFrom(json_value.struct_of(progress.details))
    return message


def retry_policy_to_pb(policy: RetryPolicy) -> pb.RetryPolicy:
    """A policy with all its fields."""
    return pb.RetryPolicy(
        max_attempts=policy.max_attempts,
        initial_backoff=duration(policy.initial_backoff),
        max_backoff=duration(policy.max_backoff),
        backoff_multiplier=policy.backoff_multiplier,
    )


def task_type_to_pb(info: TaskTypeInfo, *, with_schemas: bool) -> pb.TaskType:
    """A task type."""
    message = pb.TaskType(
        name=info.name,
        description=info.description,
        queue=info.queue,
        execution_timeout=duration(info.execution_timeout),
        retry_policy=retry_policy_to_pb(info.retry_policy),
    )
    if with_schemas:
        _set_schema(message.input_schema, info.input_schema)
        _set_schema(message.output_schema, info.output_schema)
    return message


def _set_schema(field: Any, schema: dict[str, Any] | None) -> None:
    if schema is not None:
        field.SetInParent()
        field.update(schema)


def queue_to_pb(queue: QueueInfo, *, max_queued: int = 0) -> admin_pb.Queue:
    """A queue; this server lets `max_queued` tasks wait on it, 0 for any number."""
    return admin_pb.Queue(
        name=queue.name,
        paused=queue.paused,
        queued_count=queue.queued,
        scheduled_count=queue.scheduled,
        running_count=queue.running,
        oldest_age=duration(queue.oldest_age) if queue.queued else None,
        max_queued=max_queued,
    )


def worker_to_pb(worker: WorkerInfo) -> admin_pb.Worker:
    """A worker."""
    return admin_pb.Worker(
        id=worker.id,
        identity=worker.identity,
        queues=worker.queues,
        task_types=worker.task_types,
        concurrency=worker.concurrency,
        running_task_ids=worker.running_task_ids,
        start_time=timestamp(worker.start_us),
        heartbeat_time=timestamp(worker.heartbeat_us),
        draining=worker.draining,
    )
