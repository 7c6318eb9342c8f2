"""What the store holds of a task, as bytes, to and from what a task is.

The names of the fields are those of lua/_prelude.lua.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgpack

from taskline_service.store.damage import record_of
from taskline_service.store.fields import (
    NEEDED_ONCE_STARTED,
    NUMBERS,
    is_started,
    line_of,
    number_of,
)
from taskline_service.store.keys import split_line
from taskline_service.task import (
    Attempt,
    Claim,
    ErrorType,
    Progress,
    RetryPolicy,
    Task,
    TaskError,
    TaskSpec,
    TaskState,
)

MICROSECOND = timedelta(microseconds=1)
ATTEMPTS_SHOWN = 20


def to_us(span: timedelta) -> int:
    """A span in whole microseconds."""
    return span // MICROSECOND


def from_us(span: int) -> timedelta:
    """Whole microseconds as a span."""
    return timedelta(microseconds=span)


def pack(value: Any) -> bytes:
    """Msgpack as the store's scripts read it: text and bytes are the same there."""
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def unpack(data: bytes) -> Any:
    """The other way; text comes as bytes."""
    return msgpack.unpackb(data, raw=True, strict_map_key=False)


def to_blob(first: bytes, second: bytes) -> bytes:
    """Two strings in one, the first of which can be read alone."""
    return struct.pack(">I", len(first)) + first + second


def from_blob(blob: bytes) -> tuple[bytes, bytes]:
    """The two strings of a blob."""
    (length,) = struct.unpack_from(">I", blob)
    return blob[4 : 4 + length], blob[4 + length :]


# What was enqueued. Only what differs from the usual is written down.


def spec_to_blob(spec: TaskSpec) -> bytes:
    """What is stored as s:<id>."""
    policy = spec.retry_policy
    fields: dict[str, Any] = {
        "p": [
            policy.max_attempts,
            to_us(policy.initial_backoff),
            to_us(policy.max_backoff),
            policy.backoff_multiplier,
        ]
    }
    if spec.uid != spec.id:
        fields["u"] = spec.uid
    if spec.request_id:
        fields["d"] = spec.digest
        if spec.request_id != spec.id:
            fields["r"] = spec.request_id
    if spec.priority:
        fields["i"] = spec.priority
    if spec.labels:
        fields["l"] = dict(spec.labels)
    if spec.trace:
        fields["t"] = dict(spec.trace)
    for name, span in (
        ("x", spec.execution_timeout),
        ("q", spec.queue_timeout),
        ("k", spec.result_ttl),
        ("a", spec.scheduled_ahead or None),
    ):
        if span is not None:
            fields[name] = to_us(span)
    return to_blob(pack(fields), spec.input)


def _text_map(fields: Mapping[bytes, bytes] | list[Any]) -> dict[str, str]:
    # The scripts' msgpack writes an empty map as an empty list.
    return {k.decode(): v.decode() for k, v in fields.items()} if isinstance(fields, dict) else {}


def _span(value: int | None) -> timedelta | None:
    return None if value is None else from_us(value)


@lru_cache(maxsize=1000)  # most tasks have that of their type
def _policy(max_attempts: int, initial_us: int, max_us: int, multiplier: float) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=max_attempts,
        initial_backoff=from_us(initial_us),
        max_backoff=from_us(max_us),
        backoff_multiplier=multiplier,
    )


def spec_from_blob(task_id: str, line: str, blob: bytes) -> TaskSpec:
    """What was enqueued, from s:<id>; without its input if only the first part was read."""
    first, task_input = from_blob(blob)
    fields = unpack(first)
    task_type, queue = split_line(line)
    digest = fields.get(b"d", b"")
    return TaskSpec(
        id=task_id,
        uid=fields.get(b"u", task_id.encode()).decode(),
        task_type=task_type,
        queue=queue,
        priority=fields.get(b"i", 0),
        input=task_input,
        labels=_text_map(fields.get(b"l", {})),
        retry_policy=_policy(*fields[b"p"]),
        execution_timeout=_span(fields.get(b"x")),
        queue_timeout=_span(fields.get(b"q")),
        result_ttl=_span(fields.get(b"k")),
        scheduled_ahead=from_us(fields.get(b"a", 0)),
        trace=_text_map(fields.get(b"t", {})),
        request_id=fields.get(b"r", task_id.encode() if digest else b"").decode(),
        digest=digest,
    )


def error_to_fields(error: TaskError) -> dict[str, Any]:
    """An error as the scripts take it; they add when it was and how often it was tried before."""
    return {
        "type": error.error_type.value,
        "message": error.message,
        "class": error.exception_class,
        "retryable": error.is_retryable,
        "details": json.dumps(error.details) if error.details is not None else None,
    }


def error_from_blob(blob: bytes) -> TaskError:
    """The failure of an attempt, from e:<id>, an event or the history."""
    first, traceback = from_blob(blob)
    fields = unpack(first)
    details = fields.get(b"details")
    return TaskError(
        error_type=ErrorType(fields[b"type"].decode()),
        message=fields[b"message"].decode("utf-8", "replace"),
        exception_class=fields.get(b"class", b"").decode(),
        traceback=traceback.decode("utf-8", "replace"),
        retry_count=fields.get(b"retries", 0),
        is_retryable=fields.get(b"retryable", False),
        error_us=fields.get(b"at", 0),
        details=json.loads(details) if details else None,
    )


def progress_to_fields(progress: Progress) -> dict[str, Any]:
    """Progress as the scripts take it; they add when it was reported."""
    return {
        "current": progress.current,
        "total": progress.total,
        "message": progress.message,
        "details": json.dumps(progress.details) if progress.details is not None else None,
    }


def progress_from_bytes(data: bytes) -> Progress:
    """Progress, from g:<id> or an event."""
    fields = unpack(data)
    details, total = fields.get(b"details"), fields.get(b"total")
    return Progress(
        current=float(fields[b"current"]),
        total=None if total is None else float(total),
        message=fields[b"message"].decode("utf-8", "replace"),
        update_us=fields[b"at"],
        details=json.loads(details) if details else None,
    )


def progress_sequence(data: bytes) -> int:
    """The sequence of the event that reported this progress."""
    return int(unpack(data)[b"seq"])


def _attempt_from_bytes(data: bytes) -> Attempt:
    fields = unpack(data)
    error = fields.get(b"error")
    return Attempt(
        number=fields[b"number"],
        worker=fields[b"worker"].decode(errors="replace"),
        start_us=fields[b"start"],
        end_us=fields[b"end"],
        error=error_from_blob(error) if error else None,
    )


def task_from_record(
    record: dict[bytes, Any], revision: int, *, with_attempts: bool = False
) -> Task:
    """A task, from what lua/_reading.lua tells of it.

    Raises:
        TaskDamaged: It cannot be understood.
    """
    task_id = record[b"id"].decode(errors="replace")
    with record_of(task_id):
        return _task_from_record(task_id, record, revision, with_attempts)


def _task_from_record(
    task_id: str, record: dict[bytes, Any], revision: int, with_attempts: bool
) -> Task:
    pairs = iter(record[b"fields"])
    fields = dict(zip(pairs, pairs, strict=True))

    # All of them, as no move is made with a task of which one cannot be read.
    numbers = {n: number_of(n, text) for n, text in fields.items() if n in NUMBERS}

    def number(name: bytes) -> int:
        return numbers.get(name, 0)

    spec = spec_from_blob(task_id, line_of(fields[b"ln"]), record[b"spec"])
    state = TaskState(fields[b"st"].decode())
    if is_started(state, number(b"at")) and not fields.keys() >= NEEDED_ONCE_STARTED:
        raise KeyError(*NEEDED_ONCE_STARTED - fields.keys())
    progress, error = record.get(b"progress"), record.get(b"error")
    task = Task(
        spec=spec,
        state=state,
        sequence=numbers[b"sq"],
        revision=revision,
        attempts=number(b"at"),
        worker=fields.get(b"wo", b"").decode(errors="replace"),
        create_us=numbers[b"ct"],
        schedule_us=numbers[b"du"],
        start_us=number(b"sa"),
        end_us=number(b"ea"),
        update_us=number(b"up"),
        cancel_request_us=number(b"cr"),
        result_expire_us=number(b"re"),
        expire_us=number(b"xp"),
        progress=progress_from_bytes(progress) if progress else None,
        # While it runs, what is there is only the error that a cancellation will end it with.
        error=error_from_blob(error) if error and state is not TaskState.RUNNING else None,
        input_size=max(record[b"spec_size"] - _first_size(record[b"spec"]), 0),
        result_size=number(b"rs"),
        short_result=fields.get(b"rv"),
    )
    if with_attempts:
        return replace(task, attempt_history=_attempts(record, task))
    return task


def _first_size(blob: bytes) -> int:
    return 4 + int(struct.unpack_from(">I", blob)[0])


def _attempts(record: dict[bytes, Any], task: Task) -> tuple[Attempt, ...]:
    """The attempts that were, oldest first: those that others followed, and the last one."""
    history = [_attempt_from_bytes(data) for data in record.get(b"attempts") or []]
    if task.start_us and not any(attempt.number == task.attempts for attempt in history):
        history.append(
            Attempt(
                number=task.attempts,
                worker=task.worker,
                start_us=task.start_us,
                end_us=task.end_us,
                error=task.error if task.state.terminal else None,
            )
        )
    return tuple(history[-ATTEMPTS_SHOWN:])


def claim_from_fields(fields: dict[bytes, Any], nonce: bytes) -> Claim:
    """A claim, from what lua/claim.lua gives.

    Raises:
        TaskDamaged: What was enqueued cannot be understood.
    """
    task_id = fields[b"id"].decode(errors="replace")
    with record_of(task_id):
        return Claim(
            spec=spec_from_blob(task_id, fields[b"line"].decode(), fields[b"spec"]),
            attempt=fields[b"attempt"],
            failures=fields[b"failed"],
            losses=fields[b"lost"],
            unstoppable=fields[b"alone"],
            nonce=nonce,
            create_us=fields[b"create"],
            schedule_us=fields[b"due"],
            start_us=fields[b"start"],
        )
