"""A plot of bars as SVG, which needs no library: pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bench.figures import Figures, written
from bench.marks import by_peer

_WIDTH, _NAMES, _NUMBERS = 760, 190, 90
_BAR, _GAP, _HEAD = 18, 6, 34
_OURS, _LIMIT, _PEER = "#2563eb", "#9ca3af", "#d97706"


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity: whose figure it is by name, ours and limits, and that of the peers."""

    title: str
    ours: Mapping[str, str]
    limits: Mapping[str, str]
    peers: str
    # Longer bars end here, so that the others can be told apart.
    longest: float = math.inf


PANELS = (
    Panel(
        "Enqueue, 100 callers at once: tasks per second",
        {
            "Taskline, client": "enqueue: the client's enqueue(), 100 in flight, /s",
            "Taskline, single calls": "enqueue: single calls, 100 in flight, /s",
        },
        {"gRPC echo": "echo: 100 in flight, /s"},
        "enqueue: 100 in flight, /s",
    ),
    Panel(
        "Enqueue by batches of 100: tasks per second",
        {"Taskline": "enqueue: batches of 100, 4 in flight, tasks/s"},
        {
            "gRPC echo": "echo: batches of 100, 4 in flight, tasks/s",
            "store alone": "raw store: enqueue, 100 a call, 4 in flight, tasks/s",
        },
        "enqueue: batches of 100, tasks/s",
    ),
    Panel(
        "Execution of a full queue, one worker process: tasks per second",
        {"Taskline": "execution: 1 worker process, /s"},
        {"store alone": "raw store: claim and complete, 64 a call, tasks/s"},
        "execution: 1 worker process, /s",
    ),
    Panel(
        "End to end, results read back: tasks per second",
        {
            "Taskline, batches": "end to end: batches, tasks/s",
            "Taskline, single calls": "end to end: single calls, /s",
        },
        {},
        "end to end, /s",
    ),
    Panel(
        "Idle round trip, median: milliseconds, less is better",
        {
            "Taskline, Run": "round trip: Run, p50, ms",
            "Taskline, two calls": "round trip: Enqueue and GetResult, p50, ms",
        },
        {"gRPC echo": "echo: 1 in flight, p50, ms"},
        "round trip: p50, ms",
        longest=15,
    ),
)


def plot(figures: Figures, panels: Sequence[Panel] = PANELS) -> str:
    """An SVG with a bar for each figure that was found."""
    parts, top = list[str](), 0.0
    for panel in panels:
        bars = _bars(panel, figures)
        parts.append(_text(0, top + 22, panel.title, weight="bold"))
        top += _HEAD
        longest = min(max([value for _, value, _ in bars], default=1.0), panel.longest)
        for name, value, colour in bars:
            width = (_WIDTH - _NAMES - _NUMBERS) * min(value / longest, 1)
            parts.append(_text(_NAMES - 8, top + 13, name, anchor="end"))
            parts.append(
                f'<rect x="{_NAMES}" y="{top:g}" width="{width:.1f}" height="{_BAR}" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(_NAMES + width + 6, top + 13, written(value)))
            top += _BAR + _GAP
        top += _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top:g}" '
        'font-family="sans-serif" font-size="12">'
    )
    ground = f'<rect width="{_WIDTH}" height="{top:g}" fill="#ffffff"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"


def _bars(panel: Panel, figures: Figures) -> list[tuple[str, float, str]]:
    found = [
        (name, figures[figure], colour)
        for named, colour in ((panel.ours, _OURS), (panel.limits, _LIMIT))
        for name, figure in named.items()
        if figure in figures
    ]
    return found + [(peer, value, _PEER) for peer, value in by_peer(panel.peers, figures).items()]


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )
