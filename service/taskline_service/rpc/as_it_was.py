"""A task as it was right after something had happened to it. Pure.

A watch by filter reads a task when it hears of it, and by then it may be further. Were that
shown, the log lines and outputs up to there could not be told any more.
"""

from dataclasses import replace

from taskline_service.store import Event, StateChange
from taskline_service.task import Progress, Task, TaskState


def as_it_was(task: Task, event: Event) -> Task:
    """A task that was read later, right after an event that is not its end."""
    reported = task.progress
    then = replace(
        task,
        sequence=event.sequence,
        revision=event.revision,
        update_us=event.event_us,
        cancel_request_us=_until(task.cancel_request_us, event),
        progress=reported if reported and _until(reported.update_us, event) else None,
        error=None,
        end_us=0,
        result_size=0,
        short_result=None,
        result_expire_us=0,
        expire_us=0,
    )
    change = event.change
    if isinstance(change, StateChange):
        running = change.state is TaskState.RUNNING
        return replace(
            then,
            state=change.state,
            attempts=change.attempts,
            worker=change.worker or (then.worker if change.attempts else ""),
            start_us=event.event_us if running else _until(task.start_us, event),
            schedule_us=change.schedule_us or then.schedule_us,
            error=change.error,
        )
    # Only what runs reports, logs and emits.
    return replace(
        then,
        state=TaskState.RUNNING,
        progress=change if isinstance(change, Progress) else then.progress,
    )


def _until(time_us: int, event: Event) -> int:
    """An instant, 0 if it was after the event."""
    return time_us if time_us <= event.event_us else 0
