"""Measures Taskline, the limits and the peers in one run: `python -m bench`.

In each round everything has its turn, so that whatever else the machine does falls on all; what
takes long has one turn. Writes docs/benchmarks.md and its plot, whether the marks are met or not;
fails only if something could not be measured. With --quick it measures less, without peers, and
only prints.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable

from bench import peer
from bench.environments import peers
from bench.figures import MANY, QUICKLY_MANY, Figures, Size, medians
from bench.machine import machine, versions
from bench.page import (
    GROWTH,
    MEASURED,
    Run,
    figures_table,
    growth_table,
    has_place,
    marks_table,
    placed,
    report,
)
from bench.plot import plot
from bench.serving import ROOT

ROUNDS, QUICK_ROUNDS = 5, 2
EACH_ROUND = ("echo", "enqueue", "execution", "end_to_end", "round_trip")
ONCE = (
    *("raw_store", "progress", "memory", "startup"),
    *("deep_queue", "list_page", "script_time", "watch_fanout", "growth"),
)
# A quick run goes without.
_SLOW = ("watch_fanout", "growth")
_LIMIT_S = 1_800
DOCS = ROOT / "docs"
PAGE, PLOT, SCALING = DOCS / "benchmarks.md", DOCS / "benchmarks.svg", DOCS / "scaling.md"


def measured(module: str, size: Size) -> Figures:
    """What a module finds in a process of its own."""
    command = [sys.executable, "-m", f"bench.{module}", "--json", "--many", str(size.many)]
    command += ["--quick"] if size.quick else []
    done = subprocess.run(
        command, check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=_LIMIT_S
    )
    # Not the error of subprocess: that names folders of this machine, and the page is for others.
    if done.returncode:
        raise RuntimeError(f"it ended with {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class Session:
    """All that is measured in one run."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._began = time.monotonic()
        self.found = list[Figures]()
        self.broken = dict[str, str]()

    def measure(self, name: str) -> None:
        """One turn of one of our modules."""
        self._turn(name, lambda: measured(name, self._size))

    def measure_peer(self, name: str, *, by_default: bool = False) -> None:
        """One turn of a peer."""

        def measure() -> Figures:
            return asyncio.run(peer.measure(name, self._size, by_default=by_default))

        self._turn(name, measure)

    def _turn(self, name: str, measure: Callable[[], Figures]) -> None:
        """If it breaks, it has no further turn, and the others go on."""
        if name in self.broken:
            return
        print(f"{time.monotonic() - self._began:5.0f} s  {name}", file=sys.stderr, flush=True)
        try:
            self.found.append(measure())
        except Exception as broken:  # a peer may end in any way
            self.broken[name] = f"{type(broken).__name__}: {broken}".removesuffix(": ")


def main() -> int:
    """Measure and tell; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under three minutes; only prints")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--many", type=int, metavar="TASKS", help="of a store with many tasks")
    options = parser.parse_args()
    quick = options.quick
    size = Size(quick=quick, many=options.many or (QUICKLY_MANY if quick else MANY))
    rounds = options.rounds or (QUICK_ROUNDS if quick else ROUNDS)
    known = {} if quick else peers()

    session = Session(size)
    for _ in range(rounds):
        for name in EACH_ROUND:
            session.measure(name)
        for name in known:
            session.measure_peer(name)
    for name in known:
        # Where the default is more processes, one of them is no other case.
        if known[name].default_measured:
            session.measure_peer(name, by_default=True)
    for name in ONCE:
        if not (quick and name in _SLOW):
            session.measure(name)

    figures = medians(session.found)
    print(figures_table(figures), marks_table(figures), sep="\n\n")
    for name, reason in session.broken.items():
        print(f"not measured: {name}: {reason}", file=sys.stderr)
    if not quick:
        write(
            Run(
                command="python -m bench " + " ".join(sys.argv[1:]),
                machine=machine(),
                versions=versions(),
                rounds=rounds,
                many=size.many,
                figures=figures,
                peers={name: str(told) for name, told in known.items()},
                broken=session.broken,
            )
        )
    return 1 if session.broken else 0


def write(run: Run) -> None:
    """Into the pages that have a place for it."""
    PLOT.write_text(plot(run.figures), "utf-8")
    PAGE.write_text(placed(PAGE.read_text("utf-8"), MEASURED, report(run)), "utf-8")
    for page in (PAGE, SCALING):
        if page.exists() and has_place(text := page.read_text("utf-8"), GROWTH):
            page.write_text(placed(text, GROWTH, growth_table(run.figures)), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
