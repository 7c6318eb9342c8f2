"""Rows for people: a rich table on a terminal, aligned plain text anywhere else."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len

from taskline_client.cli.text import on_one_line

if TYPE_CHECKING:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

Row = Sequence[str]
_GAP = 2
# What names and the last column keep on a narrow terminal, unless they are narrower themselves.
_LEAST_WIDTH = 12
# Columns from this rank on are shown where the last one keeps a fourth of the screen beside them.
_EXTRA = 4
_READABLE = 0.25


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the contract's name of what it shows."""

    name: str
    # On a terminal that is too narrow, the columns with the highest ranks go first; 0 stays.
    rank: int = 0
    # Names are to be copied: they are never cut.
    whole: bool = False
    # Of text at the end of a row: it takes what is left.
    last: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Row], *, empty: str = "") -> None:
    """One line per row; what does not fit a terminal is cut there, never in a pipe.

    Args:
        columns: One for each cell of a row.
        rows: Of text.
        empty: Printed to standard error if there are no rows.
    """
    if not rows and empty:
        print(f"taskline: {empty}", file=sys.stderr)
        if sys.stdout.isatty():
            return
    if sys.stdout.isatty():
        _print_rich(columns, rows)
    else:
        print_plain(columns, rows, sys.stdout)


def _print_rich(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(rich_table(columns, rows, width=console.width))
    clean = _clean(rows)
    hidden = set(_wanted(columns, clean)) - set(_that_fit(columns, clean, console.width))
    if hidden:
        names = ", ".join(columns[index].name for index in sorted(hidden))
        console.print(
            Text(f"not shown: {names} (with a wider terminal, or -o json)", style="dim"),
            no_wrap=True,
            overflow="ellipsis",
        )


def print_plain(columns: Sequence[Column], rows: Sequence[Row], stream: TextIO) -> None:
    """Aligned by what characters take on a screen, without colours, and whole."""
    lines = [[column.name for column in columns], *_clean(rows)]
    widths = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)
        )
        print((" " * _GAP).join(cells).rstrip(), file=stream)


def rich_table(
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    width: int,
    bars: "Sequence[ProgressBar]" = (),
) -> "Table":
    """As wide as the screen at most; with a bar at the end of each row, if there are any."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    clean = _clean(rows)
    width -= max((bar.width or 0 for bar in bars), default=0)
    shown = _that_fit(columns, clean, width)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0), show_edge=False)
    widths = _widths(columns, clean, shown, width)
    for index in shown:
        column = columns[index]
        table.add_column(
            column.name,
            width=widths[index],
            no_wrap=not column.whole,
            overflow="fold" if column.whole else "ellipsis",
        )
    if bars:
        table.add_column("")
    for number, row in enumerate(clean):
        table.add_row(*(Text(row[index]) for index in shown), *bars[number : number + 1])
    return table


def _wanted(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    """The columns that have something to show; and those that always stay."""
    return [
        index
        for index, column in enumerate(columns)
        if column.rank == 0 or not rows or any(row[index] for row in rows)
    ]


def _that_fit(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[int]:
    """Of the columns that are wanted, as many as there is room for; the lowest ranks first."""
    shown: list[int] = []
    for index in sorted(_wanted(columns, rows), key=lambda index: columns[index].rank):
        rank, more = columns[index].rank, [*shown, index]
        last = max(_LEAST_WIDTH, int(width * _READABLE)) if rank >= _EXTRA else _LEAST_WIDTH
        needed = sum(_least(columns, rows, each, last) + _GAP for each in more)
        if rank == 0 or needed <= width:
            shown = more
    return sorted(shown)


def _widths(
    columns: Sequence[Column], rows: Sequence[Row], shown: Sequence[int], width: int
) -> dict[int, int]:
    """What is to spare goes to the last column; what is missing, the names pay, and are folded."""
    widths = {index: _least(columns, rows, index, _LEAST_WIDTH) for index in shown}
    spare = width - sum(widths.values()) - _GAP * len(shown)
    for index in shown:
        if spare < 0 and columns[index].whole:
            widths[index] = max(widths[index] + spare, _LEAST_WIDTH)
        if spare > 0 and columns[index].last:
            widths[index] = min(widths[index] + spare, _natural(columns, rows, index))
    return widths


def _least(columns: Sequence[Column], rows: Sequence[Row], index: int, last: int) -> int:
    """How narrow a column may become, if the last one keeps so much."""
    natural = _natural(columns, rows, index)
    return min(natural, last) if columns[index].last else natural


def _natural(columns: Sequence[Column], rows: Sequence[Row], index: int) -> int:
    return max(cell_len(text) for text in (columns[index].name, *(row[index] for row in rows)))


def _clean(rows: Sequence[Row]) -> list[list[str]]:
    return [[on_one_line(cell) for cell in row] for row in rows]


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values below each other; those without a value are left out."""
    known = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{name.ljust(width)}  {on_one_line(value)}")
