"""Events as plain lines, for pipes and logs: one each, without colours."""

import json
from typing import Self, TextIO

from taskline_client.cli.exits import tell
from taskline_client.cli.text import (
    clock_text,
    error_lines,
    error_text,
    number,
    on_one_line,
    progress_text,
)
from taskline_client.cli.watched import Watched
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
    """Writes a line per event; below the last one of a failed task is all about its error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: TaskEvent, task: Watched) -> None:
        """One line; none for what nobody could read."""
        if text := event_text(event):
            self._write(on_one_line(f"{event.task_id} {text}"))
        if isinstance(event, Ended) and event.error and (more := error_lines(event.error)):
            self._write(more)

    def tell(self, message: str) -> None:
        """On standard error: it is about no task."""
        tell(message)

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class EndBoard(LineBoard):
    """Tells only how each task ended."""

    def show(self, event: TaskEvent, task: Watched) -> None:
        """The line of an end."""
        if isinstance(event, Ended):
            self._write(on_one_line(f"{event.task_id} {event_text(event)}"))


def event_text(event: TaskEvent) -> str:
    """What happened, without the task's id."""
    match event:
        case Snapshot():
            return _task_text(event.task)
        case StateChanged():
            return _change_text(event)
        case Ended():
            attempts = f" attempts={event.attempts}" if event.attempts > 1 else ""
            error = f" {error_text(event.error)}" if event.error else ""
            return f"{event.state}{attempts}{error}"
        case _:
            return report_text(event)


def report_text(event: TaskEvent) -> str:
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
    started = f" started={clock_text(task.start_time)}" if task.start_time else ""
    progress = f" {_progress_text(task.progress)}" if task.progress else ""
    where = _where(task.worker, task.attempts)
    return f"{task.state} {task.task_type}{where}{started}{progress}"


def _change_text(event: StateChanged) -> str:
    error = f" after {error_text(event.error)}" if event.error else ""
    due = f" due={clock_text(event.schedule_time)}" if event.schedule_time else ""
    return f"{event.state}{_where(event.worker, event.attempts)}{due}{error}"


def _where(worker: str, attempts: int) -> str:
    return f"{f' worker={worker}' if worker else ''}{f' attempt={attempts}' if attempts else ''}"


def _progress_text(progress: Progress) -> str:
    return f"{progress_text(progress)} {progress.message}".rstrip()
