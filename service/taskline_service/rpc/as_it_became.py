"""A task as it became by what happened to it since it was read. Pure.

Who waits for a task and hears how it ended need not read it again.
"""

from dataclasses import replace

from taskline_service.store import End, Event, Gap, StateChange
from taskline_service.task import Progress, Task, TaskState


def as_it_became(task: Task, event: Event) -> Task | None:
    """A task after its next event; None if that does not tell everything."""
    if event.sequence <= task.sequence:  # it was read after that
        return task
    then = replace(task, sequence=event.sequence, revision=event.revision, update_us=event.event_us)
    match event.change:
        case Gap():
            return None
        case StateChange() as change:
            return _in_state(then, change, event.event_us)
        case Progress() as progress:
            return replace(then, progress=progress)
        case End() as end:
            return _ended(then, end, event.event_us)
        case _:
            return then


def _in_state(task: Task, change: StateChange, event_us: int) -> Task | None:
    if change.retried:  # much of it goes that is nobody's event
        return None
    then = replace(
        task,
        state=change.state,
        attempts=change.attempts,
        schedule_us=change.schedule_us or task.schedule_us,
        error=change.error,
    )
    if change.state is not TaskState.RUNNING:
        return then
    progress = task.progress if change.attempts == 1 else None
    return replace(then, worker=change.worker, start_us=event_us, progress=progress)


def _ended(task: Task, end: End, event_us: int) -> Task | None:
    # When it was asked to stop is no event.
    if end.state is TaskState.CANCELLED or (end.result is None and end.error is None):
        return None
    return replace(
        task,
        state=end.state,
        attempts=end.attempts,
        end_us=event_us,
        result_size=end.result_size,
        result_expire_us=end.result_expire_us,
        expire_us=end.expire_us,
        cancel_request_us=end.cancel_request_us,
        error=end.error,
    )
