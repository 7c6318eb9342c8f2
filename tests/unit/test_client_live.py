"""The bars of `watch` on a terminal."""

import io

import pytest
from rich.console import Console

from taskline_client import Progress, Snapshot, Task, TaskState
from taskline_client.cli.live import LiveBoard
from taskline_client.cli.watched import Watched

COLUMNS, LINES = 40, 10


def rows_of(board: LiveBoard) -> list[str]:
    """What is drawn, as wide as it is drawn."""
    console = Console(file=io.StringIO(), width=COLUMNS, height=LINES)
    lines = console.render_lines(board, pad=False)
    return ["".join(segment.text for segment in line) for line in lines]


def running(task_id: str) -> tuple[Snapshot, Watched]:
    task = Task(
        id=task_id,
        uid="u",
        task_type="t",
        queue="q",
        state=TaskState.RUNNING,
        progress=Progress(current=1, total=2, percentage=50, message="m" * COLUMNS),
    )
    snapshot = Snapshot(task_id=task_id, sequence=1, event_time=None, resume_token="", task=task)
    watched = Watched(task_id)
    watched.learn(snapshot)
    return snapshot, watched


def test_what_a_terminal_echoes_below_the_bars_moves_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("LINES", str(LINES))
    board = LiveBoard(io.StringIO())
    assert "".join(rows_of(board)) == ""

    for number in range(3):
        board.show(*running(f"task-{number}"))

    *bars, last = rows_of(board)
    assert last == ""
    assert [row.split()[0] for row in bars if "task-" in row] == ["task-0", "task-1"]
    assert bars[-1].startswith("and 1 more task")
    # With the line of the cursor, no more than there is room for: else the first scrolls away.
    assert len(bars) + 2 <= LINES
