"""Events as plain lines, for pipes and logs: one each, without colours."""

import json
import sys
from typing import Self

from taskline_client.cli.text import error_text, number, on_one_line, printable, progress_text
from taskline_client.events import (
    Ended,
    LogLine,
    Output,
    ProgressReported,
    Snapshot,
    StateChanged,
    TaskEvent,
)
from taskline_client.types import Progress, Task


class LineBoard:
    """Writes to standard error; the last line of a failed task brings its traceback."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: TaskEvent) -> None:
        """One line; none for what nobody could read."""
        if text := event_text(event):
            print(on_one_line(f"{event.task_id} {text}"), file=sys.stderr, flush=True)
        if isinstance(event, Ended) and event.error and event.error.traceback:
            print(printable(event.error.traceback.rstrip()), file=sys.stderr, flush=True)


def event_text(event: TaskEvent) -> str:
    """What happened, without the task's id."""
    match event:
        case Snapshot():
            return _task_text(event.task)
        case StateChanged():
            return _change_text(event)
        case Ended():
            return f"{event.state}{f' {error_text(event.error)}' if event.error else ''}"
        case _:
            return _report_text(event)


def _report_text(event: TaskEvent) -> str:
    """What the task itself said while it ran."""
    match event:
        case ProgressReported():
            return _progress_text(event.progress)
        case LogLine():
            percentage = f" ({number(event.percentage)}%)" if event.percentage is not None else ""
            return f"log: {event.message}{percentage}"
        case Output():
            return f"output: {json.dumps(event.value, ensure_ascii=False)}"
        case _:
            return ""


def _task_text(task: Task) -> str:
    progress = f" {_progress_text(task.progress)}" if task.progress else ""
    return f"{task.state} {task.task_type}{_where(task.worker, task.attempts)}{progress}"


def _change_text(event: StateChanged) -> str:
    error = f" after {error_text(event.error)}" if event.error else ""
    due = f" due={event.schedule_time:%H:%M:%SZ}" if event.schedule_time else ""
    return f"{event.state}{_where(event.worker, event.attempts)}{due}{error}"


def _where(worker: str, attempts: int) -> str:
    return f"{f' worker={worker}' if worker else ''}{f' attempt={attempts}' if attempts else ''}"


def _progress_text(progress: Progress) -> str:
    return f"{progress_text(progress)} {progress.message}".rstrip()
