"""Protobuf to the client's own values: events. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypedDict

from taskline.v1 import task_pb2 as pb
from taskline_client._convert import error_from, instant, progress_from, state_from, task_from
from taskline_client._payload import from_payload
from taskline_client.events import (
    Ended,
    LogLine,
    Output,
    ProgressReported,
    Snapshot,
    StateChanged,
    TaskEvent,
    UnknownEvent,
)


class _Common(TypedDict):
    """What every event has."""

    task_id: str
    sequence: int
    event_time: datetime | None
    resume_token: str


def event_from(event: pb.TaskEvent) -> TaskEvent | None:
    """None for a heartbeat, UnknownEvent for what only a newer server knows."""
    kind = event.WhichOneof("event")
    if kind == "heartbeat":
        return None
    common = _Common(
        task_id=event.task_id,
        sequence=event.sequence,
        event_time=instant(event.event_time),
        resume_token=event.resume_token,
    )
    read = _READERS.get(kind or "")
    return read(common, event) if read else UnknownEvent(**common)


def _snapshot(common: _Common, event: pb.TaskEvent) -> Snapshot:
    return Snapshot(**common, task=task_from(event.snapshot.task), gap=event.snapshot.gap)


def _progress(common: _Common, event: pb.TaskEvent) -> ProgressReported:
    return ProgressReported(**common, progress=progress_from(event.progress))


def _output(common: _Common, event: pb.TaskEvent) -> Output:
    return Output(**common, value=from_payload(event.output))


def _state_changed(common: _Common, event: pb.TaskEvent) -> StateChanged:
    change = event.state_changed
    return StateChanged(
        **common,
        state=state_from(change.state),
        attempts=change.attempts,
        worker=change.worker,
        schedule_time=instant(change.schedule_time),
        error=error_from(change.error) if change.HasField("error") else None,
    )


def _log_line(common: _Common, event: pb.TaskEvent) -> LogLine:
    log = event.log
    percentage = log.percentage if log.HasField("percentage") else None
    return LogLine(**common, message=log.message, percentage=percentage)


def _ended(common: _Common, event: pb.TaskEvent) -> Ended:
    ended = event.ended
    return Ended(
        **common,
        state=state_from(ended.state),
        attempts=ended.attempts,
        error=error_from(ended.error) if ended.HasField("error") else None,
        result=from_payload(ended.result),
        has_result=ended.HasField("result"),
        result_size=ended.result_size,
        result_expire_time=instant(ended.result_expire_time),
    )


_READERS: Mapping[str, Callable[[_Common, pb.TaskEvent], TaskEvent]] = {
    "snapshot": _snapshot,
    "state_changed": _state_changed,
    "progress": _progress,
    "log": _log_line,
    "output": _output,
    "ended": _ended,
}
