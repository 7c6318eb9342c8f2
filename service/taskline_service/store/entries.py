"""New tasks, to and from lua/enqueue.lua. Pure."""

from collections.abc import Sequence
from typing import Any

from taskline_service.store.keys import label, line
from taskline_service.store.records import spec_to_blob, to_us
from taskline_service.store.values import Enqueued, EnqueueStatus, NewTask
from taskline_service.task import Task, TaskSpec, TaskState


def entry_of(new: NewTask) -> dict[str, Any]:
    """A new task as the script takes it."""
    spec = new.spec
    return {
        "id": spec.id,
        "line": line(spec.task_type, spec.queue),
        "spec": spec_to_blob(spec),
        "labels": [label(*pair) for pair in spec.labels.items()] or None,
        "priority": spec.priority or None,
        "queue_timeout": None if spec.queue_timeout is None else to_us(spec.queue_timeout),
        "due": new.due_us,
        "delay": None if new.delay is None else to_us(new.delay),
        "uid": spec.uid,
        "request_id": spec.request_id or None,
        "digest": spec.digest or None,
        "on_conflict": new.on_conflict.value,
    }


# A label costs the store about as much time as this much more of an input.
_BYTES_PER_LABEL = 8192


def sizes_of(entries: Sequence[dict[str, Any]]) -> list[int]:
    """What each of them costs, in bytes of input."""
    return [len(e["spec"]) + len(e["labels"] or ()) * _BYTES_PER_LABEL for e in entries]


def enqueued(spec: TaskSpec, outcome: dict[bytes, Any], revision: int) -> Enqueued:
    """What became of a new task, from what the script answers."""
    status = EnqueueStatus(outcome[b"status"].decode())
    if b"create" in outcome:
        create_us, due_us = outcome[b"create"], outcome[b"due"]
        task = Task(
            spec=spec,
            state=TaskState.SCHEDULED if due_us > create_us else TaskState.QUEUED,
            sequence=1,
            revision=revision,
            create_us=create_us,
            schedule_us=due_us,
            update_us=create_us,
            input_size=len(spec.input),
        )
        return Enqueued(status, task)
    if b"uid" in outcome:
        return Enqueued(
            status, None, outcome[b"uid"].decode(), TaskState(outcome[b"state"].decode())
        )
    key = outcome.get(b"key", b"").decode(errors="replace")
    return Enqueued(status, limit=outcome.get(b"limit", 0), key=key)
