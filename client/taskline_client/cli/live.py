"""Events on a terminal: a line with a bar per task, redrawn in place."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TaskID as Row
from rich.text import Text

from taskline_client import types
from taskline_client.cli.lines import event_text
from taskline_client.cli.text import on_one_line, printable, progress_text
from taskline_client.events import (
    Ended,
    LogLine,
    Output,
    ProgressReported,
    Snapshot,
    StateChanged,
    TaskEvent,
)
from taskline_client.types import TaskState

_COLOURS = {TaskState.COMPLETED: "green", TaskState.FAILED: "red", TaskState.CANCELLED: "yellow"}


class LiveBoard:
    """Draws on standard error; what tasks say appears above the bars."""

    def __init__(self) -> None:
        # Text from tasks is never read as markup.
        self._progress = Progress(
            TextColumn("{task.fields[task_id]}", markup=False),
            TextColumn("{task.fields[state]}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[message]}", markup=False),
            TextColumn("{task.fields[worker]}", markup=False, style="dim"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._rows: dict[str, Row] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: TaskEvent) -> None:
        """Redraw the task's line, or print above it."""
        row = self._row_of(event.task_id)
        match event:
            case Snapshot():
                self._show_state(row, event.task.state, event.task.worker)
                if event.task.progress:
                    self._show_progress(row, event.task.progress)
            case StateChanged():
                self._show_state(row, event.state, event.worker)
                if event.error:
                    self._say(event)
            case ProgressReported():
                self._show_progress(row, event.progress)
            case LogLine() | Output():
                self._say(event)
            case Ended():
                self._end(row, event)

    def _row_of(self, task_id: str) -> Row:
        if task_id not in self._rows:
            self._rows[task_id] = self._progress.add_task(
                "",
                total=None,
                task_id=on_one_line(task_id),
                state="",
                count="",
                message="",
                worker="",
            )
        return self._rows[task_id]

    def _show_state(self, row: Row, state: TaskState, worker: str) -> None:
        colour = _COLOURS.get(state, "cyan")
        self._progress.update(row, state=f"[{colour}]{state}[/]")
        if worker:
            self._progress.update(row, worker=on_one_line(worker))

    def _show_progress(self, row: Row, progress: types.Progress) -> None:
        self._progress.update(
            row,
            completed=progress.current,
            total=progress.total,
            count=progress_text(progress),
            message=on_one_line(progress.message),
        )

    def _end(self, row: Row, event: Ended) -> None:
        self._show_state(row, event.state, "")
        if self._progress.tasks[row].total is None:
            # An endless bar would go on moving.
            self._progress.update(row, total=1, completed=event.state is TaskState.COMPLETED)
        self._progress.stop_task(row)
        if event.error:
            self._say(event)
        if event.error and event.error.traceback:
            self._progress.console.print(Text(printable(event.error.traceback.rstrip())))

    def _say(self, event: TaskEvent) -> None:
        self._progress.console.print(Text(on_one_line(f"{event.task_id} {event_text(event)}")))
