"""The kinds of things that happen to a task, as watchers get them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from taskline_service.store.damage import UNREADABLE
from taskline_service.store.records import (
    error_from_blob,
    from_blob,
    progress_from_bytes,
    unpack,
)
from taskline_service.task import Progress, TaskError, TaskState


@dataclass(frozen=True, slots=True)
class StateChange:
    """The task went to a state that is not terminal."""

    state: TaskState
    attempts: int
    worker: str
    schedule_us: int
    # Of RETRYING. None too if it is too long to be sent along: then it is with the task.
    error: TaskError | None
    # It had ended, and an operator put it back on its queue.
    retried: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """The task ended."""

    state: TaskState
    attempts: int
    result_size: int
    result_expire_us: int
    # Neither is set if the outcome is too long to be sent along: then it is with the task.
    result: bytes | None
    error: TaskError | None
    # When its record goes, and, if it completed, when it had been asked to stop. 0 where its story
    # is read: that does not tell.
    expire_us: int = 0
    cancel_request_us: int = 0

    def result_at(self, time_us: int) -> bytes | None:
        """The result, if it came along and its time is not over."""
        return self.result if self.result_expire_us > time_us else None


@dataclass(frozen=True, slots=True)
class Logged:
    """The task logged a line."""

    # None if it is no longer kept.
    message: str | None
    percentage: float | None


@dataclass(frozen=True, slots=True)
class Emitted:
    """The task emitted an output."""

    # As JSON. None if it is too long to be sent along: then it is with the task, if still kept.
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Events were lost: read the task again; all of them, if it is nobody's event."""


Change = StateChange | Progress | Logged | Emitted | End | Gap


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task, and where that was in the order of everything."""

    task_id: str
    sequence: int
    event_us: int
    revision: int
    # Place among the events of the same revision, from 0.
    ordinal: int
    change: Change
    # Task type and queue, as keys.line() writes them.
    line: str = ""
    # The first of all, or the first after an end: what came before does not lead here.
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """The events of one call that changed tasks, by their places in it.

    Each has an id, and a line that can be read if it has one. Decoding one that nobody of ours
    wrote raises something of UNREADABLE.
    """

    revision: int
    # None if they cannot be understood.
    events: list[tuple[int, dict[bytes, Any]]] | None

    @classmethod
    def of(cls, told: bytes) -> "Message":
        """As the log has it: without what came with the events."""
        message = unpack(told)
        revision, runs = message[b"rev"], message[b"runs"]
        if not isinstance(revision, int) or not isinstance(runs, list):
            raise TypeError(type(revision), type(runs))
        return cls(revision, list(enumerate(fields for run in runs for fields in _events_of(run))))

    @classmethod
    def heard(cls, published: bytes) -> "Message":
        """As it is published."""
        told, contents = from_blob(published)
        message = cls.of(told)
        for (_, fields), content in zip(message.events or (), unpack(contents), strict=True):
            add_content(fields, content)
        return message


def _events_of(run: list[dict[bytes, Any]]) -> Iterator[dict[bytes, Any]]:
    """First what the events have in common, then each one's own."""
    common, *each = run
    for own in each:
        fields = common | own
        fields[b"id"].decode()
        fields.get(b"line", b"").decode()
        yield fields


def add_content(fields: dict[bytes, Any], content: Any) -> None:
    """Let the fields of an event have what came with it."""
    if content:  # the scripts' msgpack writes an empty map as an empty list
        fields |= content


def decode_event(fields: dict[bytes, Any], revision: int, ordinal: int) -> Event:
    """An event, from what the scripts publish."""
    if not isinstance(fields[b"seq"], int) or not isinstance(fields[b"at"], int):
        raise TypeError(fields[b"seq"], fields[b"at"])
    return Event(
        task_id=fields[b"id"].decode(),
        sequence=fields[b"seq"],
        event_us=fields[b"at"],
        revision=revision,
        ordinal=ordinal,
        change=_change(fields),
        line=fields.get(b"line", b"").decode(),
        begins=fields.get(b"begins", False),
    )


def event_or_gap(fields: dict[bytes, Any], revision: int, ordinal: int) -> Event:
    """The same; a Gap in its task if it cannot be understood."""
    try:
        return decode_event(fields, revision, ordinal)
    except UNREADABLE:
        task_id, line = fields[b"id"].decode(), fields.get(b"line", b"").decode()
        return Event(task_id, 0, 0, revision, ordinal, Gap(), line)


def _change(fields: dict[bytes, Any]) -> Change:
    if fields[b"kind"] == b"gap":
        return Gap()
    if fields[b"kind"] == b"progress":
        return progress_from_bytes(fields[b"progress"])
    if fields[b"kind"] == b"log":
        message, percentage = fields.get(b"message"), fields.get(b"percentage")
        return Logged(
            None if message is None else message.decode("utf-8", "replace"),
            None if percentage is None else float(percentage),
        )
    if fields[b"kind"] == b"output":
        return Emitted(fields.get(b"output"))
    error = fields.get(b"error")
    state = TaskState(fields[b"state"].decode())
    failure = error_from_blob(error) if error else None
    if fields[b"kind"] == b"ended":
        return End(
            state=state,
            attempts=fields[b"attempts"],
            result_size=fields.get(b"result_size", 0),
            result_expire_us=fields.get(b"result_expire", 0),
            result=fields.get(b"result"),
            error=failure,
            expire_us=fields.get(b"expire", 0),
            cancel_request_us=fields.get(b"cancel", 0),
        )
    return StateChange(
        state=state,
        attempts=fields[b"attempts"],
        worker=fields.get(b"worker", b"").decode(),
        schedule_us=fields.get(b"due", 0),
        error=failure,
        retried=fields.get(b"retried", False),
    )
