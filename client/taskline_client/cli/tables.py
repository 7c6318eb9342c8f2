"""Rows for people: a rich table on a terminal, aligned plain text anywhere else."""

import sys
from collections.abc import Sequence

from taskline_client.cli.text import on_one_line

Row = Sequence[str]


def print_table(columns: Row, rows: Sequence[Row]) -> None:
    """One line per row; what does not fit a terminal is cut there, never in a pipe."""
    clean = [[on_one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, clean)
    else:
        _print_plain(columns, clean)


def _print_plain(columns: Row, rows: Sequence[Row]) -> None:
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _print_rich(columns: Row, rows: Sequence[Row]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold" if column == "ID" else "ellipsis", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values below each other; those without a value are left out."""
    known = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{name.ljust(width)}  {on_one_line(value)}")
