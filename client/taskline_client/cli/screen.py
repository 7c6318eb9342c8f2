"""The live screen of `top`: everything in as many lines as the terminal has."""

from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from taskline_client.cli.deployment import Look
from taskline_client.cli.live import bar_of
from taskline_client.cli.show import QUEUES, WORKERS, queue_row, worker_row
from taskline_client.cli.tables import Column, Row, rich_table
from taskline_client.cli.text import counted, on_one_line
from taskline_client.cli.top import RUNNING, headline, now_of, running_row
from taskline_client.cli.watched import Watched
from taskline_client.errors import CallFailed
from taskline_client.types import TaskState

# A table's heading and rule, the line below it that tells of more, and an empty one.
_LINES_BESIDES_ROWS = 4
_LEAST_ROWS = 2
_BAR_WIDTH = 12


class Screen:
    """Takes the whole terminal while it is open."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._last: Look | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, seen: Look) -> None:
        """Draw anew."""
        self._last = seen
        self._live.update(self._page(seen), refresh=True)

    def show_error(self, error: CallFailed) -> None:
        """The last look stays, marked as old."""
        parts: list[RenderableType] = [Text(on_one_line(f"no answer: {error}"), style="red")]
        if self._last:
            parts.append(self._page(self._last))
        self._live.update(Group(*parts), refresh=True)

    def _page(self, seen: Look) -> RenderableType:
        lines = [
            Text(line, no_wrap=True, overflow="ellipsis") for line in headline(seen, self._address)
        ]
        lines[0].stylize("bold")
        tables = (
            (QUEUES, [queue_row(queue) for queue in seen.queues], "queue"),
            (WORKERS, [worker_row(worker) for worker in seen.workers], "worker"),
        )
        room = self._console.height - len(lines) - 1
        parts: list[RenderableType] = [*lines]
        for columns, rows, noun in tables:
            # What they do not need is for the tasks that run, which come last.
            most = max(_LEAST_ROWS, room // 3 - _LINES_BESIDES_ROWS)
            parts += [Text(), *self._table(columns, rows, most, noun)]
            room -= min(len(rows), most) + _LINES_BESIDES_ROWS
        parts += [Text(), *self._running(seen, max(_LEAST_ROWS, room - _LINES_BESIDES_ROWS))]
        return Group(*parts)

    def _table(
        self, columns: tuple[Column, ...], rows: list[Row], most: int, noun: str
    ) -> list[RenderableType]:
        parts: list[RenderableType] = [rich_table(columns, rows[:most], width=self._console.width)]
        if len(rows) > most:
            parts.append(Text(f"and {counted(len(rows) - most, f'more {noun}')}", style="dim"))
        return parts

    def _running(self, seen: Look, most: int) -> list[RenderableType]:
        rows = [running_row(task, now_of(seen)) for task in seen.running]
        bars = [
            bar_of(Watched(id=task.id, state=task.state, progress=task.progress), width=_BAR_WIDTH)
            for task in seen.running[:most]
        ]
        width = self._console.width
        parts: list[RenderableType] = [rich_table(RUNNING, rows[:most], width=width, bars=bars)]
        running = seen.stats.states.get(TaskState.RUNNING, 0)
        if running > len(bars):
            parts.append(Text(f"{counted(running, 'task')} running in all", style="dim"))
        return parts
