"""From what happened to a task to what the contract says of it."""

import time

from taskline.v1 import task_pb2 as pb
from taskline_service.limits import MAX_OUTPUT_IN_EVENT_BYTES, MAX_RESULT_IN_EVENT_BYTES
from taskline_service.rpc.convert import STATE_TO_PB, error_to_pb, progress_to_pb, timestamp
from taskline_service.rpc.payload import json_bytes_to_payload
from taskline_service.store import Emitted, End, Event, Logged, StateChange
from taskline_service.task import Progress, Task


def event_to_pb(event: Event, payload_format: pb.PayloadFormat.ValueType) -> pb.TaskEvent:
    """An event of one task, without its resume token."""
    message = pb.TaskEvent(
        task_id=event.task_id, sequence=event.sequence, event_time=timestamp(event.event_us)
    )
    change = event.change
    if isinstance(change, Progress):
        progress = progress_to_pb(change)
        assert progress is not None
        message.progress.CopyFrom(progress)
    elif isinstance(change, Logged):
        assert change.message is not None  # who tells of it has looked
        message.log.message = change.message
        if change.percentage is not None:
            message.log.percentage = change.percentage
    elif isinstance(change, Emitted):
        assert change.data is not None  # who tells of it has read it
        output = json_bytes_to_payload(
            change.data, payload_format, max_size=MAX_OUTPUT_IN_EVENT_BYTES
        )
        message.output.CopyFrom(output or pb.Payload(json_bytes=change.data))
    elif isinstance(change, StateChange):
        message.state_changed.CopyFrom(_state_changed(change))
    elif isinstance(change, End):
        message.ended.CopyFrom(_ended(change, payload_format))
    return message


def end_of(task: Task, result: bytes | None) -> End:
    """The end of a task that has ended, as it is kept with it."""
    return End(
        state=task.state,
        attempts=task.attempts,
        result_size=task.result_size,
        result_expire_us=task.result_expire_us,
        result=result,
        error=task.error,
    )


def _state_changed(change: StateChange) -> pb.TaskEvent.StateChanged:
    return pb.TaskEvent.StateChanged(
        state=STATE_TO_PB[change.state],
        attempts=change.attempts,
        worker=change.worker,
        schedule_time=timestamp(change.schedule_us),
        error=error_to_pb(change.error, with_traceback=False),
    )


def _ended(end: End, payload_format: pb.PayloadFormat.ValueType) -> pb.TaskEvent.Ended:
    result = None
    # Also an event that still carries a result tells none whose time is over.
    if (kept := end.result_at(time.time_ns() // 1000)) is not None:
        result = json_bytes_to_payload(kept, payload_format, max_size=MAX_RESULT_IN_EVENT_BYTES)
    return pb.TaskEvent.Ended(
        state=STATE_TO_PB[end.state],
        result=result,
        error=error_to_pb(end.error, with_traceback=True),
        attempts=end.attempts,
        result_size=end.result_size,
        result_expire_time=timestamp(end.result_expire_us),
    )
