"""What the demo shows: headings, a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from examples.spans import Span
from taskline_client import Task, TaskState

INDENT = 4
_MESSAGE_WIDTH = 24
_PARTS = 4
_STATE_STYLES = {
    TaskState.COMPLETED: "green",
    TaskState.FAILED: "red",
    TaskState.CANCELLED: "yellow",
}

# How much is done, of how much, and what is going on.
Advance = Callable[[float, float | None, str], None]


class Screen:
    """Writes to standard output, with colours if that is a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._chapters = 0

    def chapter(self, title: str) -> None:
        """The heading of the next part."""
        self._chapters += 1
        self._console.print(f"\n[bold cyan]{self._chapters}[/]  [bold]{escape(title)}[/]")

    def say(self, text: str, *, style: str = "") -> None:
        """A sentence, or several; wrapped."""
        self._console.print(Padding(Text(text, style), (0, 0, 0, INDENT), expand=False))

    def gap(self) -> None:
        """An empty line."""
        self._console.print()

    def code(self, *lines: str) -> None:
        """Lines to be copied: never wrapped."""
        for line in lines:
            self._console.print(Text(" " * INDENT + line, "cyan"), soft_wrap=True)

    def state(self, state: TaskState, text: str) -> None:
        """What became of a task."""
        style = _STATE_STYLES.get(state, "cyan")
        line = Text.assemble((f"{state:<9}  ", style), text)
        self._console.print(Padding(line, (0, 0, 0, INDENT), expand=False))

    @contextmanager
    def bar(self, unit: str) -> Iterator[Advance]:
        """Something that goes on; to be told how far it has come."""
        if not self._console.is_terminal:
            yield _Lines(self, unit).advance
            return
        with Progress(
            TextColumn(" " * (INDENT - 1)),
            BarColumn(bar_width=24, complete_style="cyan", finished_style="green"),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[message]}[/]"),
            console=self._console,
            refresh_per_second=30,
        ) as progress:
            row = progress.add_task("", total=None, message="")

            def advance(done: float, total: float | None, message: str) -> None:
                text = escape(message[:_MESSAGE_WIDTH])
                progress.update(row, completed=int(done), total=total and int(total), message=text)

            yield advance

    def tasks(self, tasks: Sequence[Task]) -> None:
        """A table of tasks with their states."""
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for column in ("ID", "TYPE", "STATE", "ATTEMPTS", "ERROR"):
            table.add_column(column, no_wrap=True, overflow="ellipsis")
        for task in tasks:
            table.add_row(
                task.id[:8] + "…",
                task.task_type,
                Text(task.state, _STATE_STYLES.get(task.state, "cyan")),
                f"{task.attempts} of {task.max_attempts}",
                Text(task.error.message if task.error else ""),
            )
        self._console.print(Padding(table, (0, 0, 0, INDENT), expand=False))

    def spans(self, tree: Sequence[tuple[str, Span]]) -> None:
        """A trace: who did what, when, and how long it took."""
        begin = tree[0][1].start_ns
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
        for column in ("SPAN", "KIND", "SERVICE"):
            table.add_column(column, no_wrap=True)
        for column in ("AT ms", "TOOK ms"):
            table.add_column(column, no_wrap=True, justify="right")
        for branch, span in tree:
            attempt = span.attributes.get("taskline.task.attempt")
            table.add_row(
                Text.assemble(
                    (branch, "dim"),
                    (span.name, "red" if span.failed else ""),
                    (f" #{attempt}" if attempt else "", "dim"),
                    (" failed" if span.failed else "", "red"),
                ),
                span.kind,
                span.service,
                f"{(span.start_ns - begin) / 1e6:.1f}",
                f"{(span.end_ns - span.start_ns) / 1e6:.1f}",
            )
        self._console.print(Padding(table, (0, 0, 0, INDENT), expand=False))

    def failed(self, what: str, log: str) -> None:
        """The demo did not go as it should; `log` is the service's."""
        self._console.print(f"\n[bold red]The demo failed:[/] {escape(what)}")
        if log:
            self.say("The end of the service's log:", style="dim")
            self._console.print(Text(log), soft_wrap=True)


class _Lines:
    """A bar for those who read the output later: a line at every quarter."""

    def __init__(self, screen: Screen, unit: str) -> None:
        self._screen, self._unit, self._told = screen, unit, 0

    def advance(self, done: float, total: float | None, message: str) -> None:
        part = int(done * _PARTS / total) if total else 0
        if total and part > self._told:
            self._told = part
            self._screen.say(f"{done:,.0f} of {total:,.0f} {self._unit}")
