"""Events on a terminal: a few lines with a bar per task, redrawn in place."""

import sys
from collections import Counter
from threading import Lock
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from taskline_client.cli.exits import tell
from taskline_client.cli.lines import report_text
from taskline_client.cli.text import (
    clock_text,
    counted,
    error_lines,
    error_text,
    on_one_line,
    progress_text,
)
from taskline_client.cli.watched import Watched
from taskline_client.events import Ended, LogLine, Output, Snapshot, StateChanged, TaskEvent
from taskline_client.types import TaskState

COLOURS = {
    TaskState.RUNNING: "cyan",
    TaskState.RETRYING: "yellow",
    TaskState.COMPLETED: "green",
    TaskState.FAILED: "red",
    TaskState.CANCELLED: "magenta",
}
_BAR_WIDTH = 24
_LINES_PER_TASK = 3
# Below the tasks: how many there are besides, an empty line, and the cursor's.
_LINES_BESIDES = 3


class LiveBoard:
    """Draws the tasks that go on; those that have ended, and what they said, stay above."""

    def __init__(self, stream: TextIO) -> None:
        self._tasks: dict[str, Watched] = {}
        # Rich draws in a thread of its own.
        self._lock = Lock()
        self._console = Console(file=stream)
        # Asks this anew each time, also when something is printed above: a task that has
        # ended must not be drawn once more.
        self._live = Live(
            self,
            console=self._console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        for task in self._tasks.values():  # it is left while they go on
            self._console.print(block(task))

    def show(self, event: TaskEvent, task: Watched) -> None:
        """Redraw the task, or print above."""
        with self._lock:
            if isinstance(event, Ended):
                self._tasks.pop(task.id, None)
            elif not task.state.terminal:
                self._tasks[task.id] = task
        match event:
            case Ended():
                self._say_end(task)
            case StateChanged(error=error) if error:
                self._say(f"{task.id} attempt {event.attempts} failed: {error_text(error)}")
            case LogLine() | Output():
                self._say(f"{task.id} {report_text(event)}")
            case Snapshot(gap=True):
                self._say(f"{task.id} log lines and outputs may be missing here")

    def tell(self, message: str) -> None:
        """Above the bars: they would cover what is written beside them on the same terminal."""
        if sys.stderr.isatty():
            self._say(f"taskline: {message}")
        else:
            tell(message)

    def _say(self, text: str) -> None:
        # Never as markup: it comes from tasks.
        self._console.print(Text(on_one_line(text)))

    def _say_end(self, task: Watched) -> None:
        parts: list[RenderableType] = [block(task)]
        if task.error:
            parts.append(Text(f"  {error_text(task.error)}", style=COLOURS.get(task.state, "")))
            if more := error_lines(task.error):
                parts.append(Text(more))
        self._console.print(Group(*parts))

    def __rich__(self) -> RenderableType:
        """The tasks that go on, as many as there is room for."""
        with self._lock:
            # Those that run before those that wait; among equals in the order they came.
            tasks = sorted(self._tasks.values(), key=lambda task: task.state != TaskState.RUNNING)
        room = max(1, (self._console.height - _LINES_BESIDES) // _LINES_PER_TASK)
        shown = [block(task) for task in tasks[:room]]
        if rest := tasks[room:]:
            states = Counter(task.state for task in rest)
            text = ", ".join(f"{count} {state}" for state, count in states.items())
            shown.append(Text(f"and {counted(len(rest), 'more task')}: {text}", style="dim"))
        # Where the terminal shows ^C: at the end of a full line that would move all the others.
        return Group(*shown, Text()) if shown else Group()


def block(task: Watched) -> RenderableType:
    """Three lines: which task and attempt; its state, worker and times; how far it has come."""
    name = Text(on_one_line(f"{task.id} {task.task_type}"), style="bold")
    if task.attempts:
        most = f"/{task.max_attempts}" if task.max_attempts > 0 else ""
        name.append(f"  attempt {task.attempts}{most}", style="not bold dim")
    times = [
        f"due {clock_text(task.schedule_time)}" if _waits(task) and task.schedule_time else "",
        f"started {clock_text(task.start_time)}" if task.start_time else "",
        f"ended {clock_text(task.end_time)}" if task.end_time else "",
        f"updated {clock_text(task.update_time)}" if _goes_on(task) else "",
    ]
    state = Text("  ").append(str(task.state), style=COLOURS.get(task.state, ""))
    state.append(f" ({on_one_line(task.worker)})" if task.worker else "")
    state.append("  " + "  ".join(filter(None, times)), style="dim")
    for line in (name, state):
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(name, state, *([_bar_line(task)] if task.progress or _runs(task) else ()))


def _bar_line(task: Watched) -> RenderableType:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=_BAR_WIDTH)
    line.add_column(no_wrap=True)
    line.add_column(no_wrap=True, overflow="ellipsis")
    progress = task.progress
    text = progress_text(progress) if progress else ""
    message = on_one_line(progress.message) if progress else ""
    line.add_row(bar_of(task), Text(text), Text(message))
    return Padding(line, (0, 0, 0, 2))


def bar_of(task: Watched, *, width: int = _BAR_WIDTH) -> ProgressBar:
    """Full only after a success; moving only while the task runs and its total is unknown."""
    total = task.progress.total if task.progress else None
    current = task.progress.current if task.progress else 0.0
    if task.state is TaskState.COMPLETED:
        total = current = total or 1.0
    colour = COLOURS.get(task.state, "cyan")
    return ProgressBar(
        total=total if total or _runs(task) else 1.0,
        completed=current if total else 0.0,
        width=width,
        pulse=total is None and _runs(task),
        complete_style=colour,
        finished_style=colour,
    )


def _runs(task: Watched) -> bool:
    return task.state is TaskState.RUNNING


def _waits(task: Watched) -> bool:
    return task.state in (TaskState.SCHEDULED, TaskState.RETRYING)


def _goes_on(task: Watched) -> bool:
    return not task.state.terminal and task.update_time is not None
