"""What happened to a task, put together from all that is stored about it. Pure."""

from dataclasses import dataclass
from typing import Any

from taskline_service.store.changes import (
    End,
    Event,
    StateChange,
    add_content,
    decode_event,
)
from taskline_service.store.damage import record_of
from taskline_service.store.records import progress_sequence, task_from_record, unpack
from taskline_service.task import Task, TaskState


@dataclass(frozen=True, slots=True)
class Story:
    """Events of one task, oldest first."""

    task: Task
    events: list[Event]
    # Older events than the first of these are no longer kept.
    gap: bool
    # There are further events behind the last of these.
    more: bool


def story_from_reply(reply: dict[bytes, Any], *, after: int, count: int) -> Story:
    """From what lua/events.lua answers: the events with a sequence above `after`."""
    task = task_from_record(reply[b"record"], reply[b"rev"])
    with record_of(task.id):
        return _story(reply, task, after=after, count=count)


def _story(reply: dict[bytes, Any], task: Task, *, after: int, count: int) -> Story:
    record, entries = reply[b"record"], reply[b"entries"]
    kept = [_event_from(entry) for entry in entries]
    first = _entry(reply[b"first"]) if reply.get(b"first") else None
    dropped = first is not None and first[b"prev"] > 0
    told = _told_by_record(record, task, first)
    if not reply[b"whole"]:  # the rest may lie between entries that were not read
        told = [event for event in told if event.sequence <= kept[-1].sequence]
    events = sorted(
        (event for event in (*kept, *told) if event.sequence > after),
        key=lambda event: event.sequence,
    )
    more = not reply[b"whole"] or len(events) > count
    return Story(task, events[:count], dropped and after == 0, more)


def _entry(entry: list[Any]) -> dict[bytes, Any]:
    parts = dict(zip(entry[1][::2], entry[1][1::2], strict=True))
    fields: dict[bytes, Any] = unpack(parts[b"e"])
    add_content(fields, fields.get(b"content"))
    return fields | ({b"output": parts[b"o"]} if b"o" in parts else {})


def _event_from(entry: list[Any]) -> Event:
    fields = _entry(entry)
    return decode_event(fields, fields.get(b"rev", 0), 0)


def _told_by_record(
    record: dict[bytes, Any], task: Task, first: dict[bytes, Any] | None
) -> list[Event]:
    """The events that the record itself tells: its beginning, last start, progress and end."""
    fields = dict(zip(record[b"fields"][::2], record[b"fields"][1::2], strict=True))
    recorded, started = int(fields.get(b"hs", 0)), int(fields.get(b"ss", 0))
    events = list[Event]()
    if first is None or (first[b"prev"] == 0 and first[b"seq"] > 1):
        queued = StateChange(TaskState.QUEUED, 0, "", task.create_us, None)
        events.append(_event(task, 1, task.create_us, queued))
    if started > recorded:
        running = StateChange(TaskState.RUNNING, task.attempts, task.worker, 0, None)
        events.append(_event(task, started, task.start_us, running))
    if task.progress is not None:
        sequence = progress_sequence(record[b"progress"])
        events.append(_event(task, sequence, task.progress.update_us, task.progress))
    if task.state.terminal:
        events.append(_event(task, task.sequence, task.end_us, _end(record, task)))
    return events


def _event(task: Task, sequence: int, at_us: int, change: Any) -> Event:
    return Event(task.id, sequence, at_us, task.revision, 0, change)


def _end(record: dict[bytes, Any], task: Task) -> End:
    return End(
        state=task.state,
        attempts=task.attempts,
        result_size=task.result_size,
        result_expire_us=task.result_expire_us,
        result=record.get(b"result"),
        error=task.error,
    )
