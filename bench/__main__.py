"""Measures Taskline, the limits and the peers in one run: `python -m bench`.

In each round everything has its turn, so that whatever else the machine does falls on all; what
takes long has one turn. Writes docs/benchmarks.md and its plot, whether the marks are met or not;
fails only if something could not be measured. With --quick it measures less, without peers, and
only prints.
"""

import argparse
import json
import subprocess
import sys
import time

from bench.figures import MANY, QUICKLY_MANY, Figures, Size, medians
from bench.page import figures_table, marks_table
from bench.serving import ROOT

ROUNDS, QUICK_ROUNDS = 5, 2
EACH_ROUND = ("echo", "enqueue", "execution", "end_to_end", "round_trip")
ONCE = (
    *("raw_store", "progress", "memory", "startup"),
    *("deep_queue", "list_page", "script_time", "watch_fanout"),
)
# A quick run goes without.
_SLOW = ("watch_fanout",)
_LIMIT_S = 1_800
PAGE, PLOT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.svg"


class Broken(Exception):
    """A measurement that came to no end, or to a bad one."""


def measured(module: str, size: Size) -> Figures:
    """What a module finds in a process of its own."""
    command = [sys.executable, "-m", f"bench.{module}", "--json", "--many", str(size.many)]
    command += ["--quick"] if size.quick else []
    try:
        done = subprocess.run(
            command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=_LIMIT_S
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Broken(str(error)) from error
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
        """One turn of one module; if it breaks, the others go on."""
        if name in self.broken:
            return
        print(f"{time.monotonic() - self._began:5.0f} s  {name}", file=sys.stderr, flush=True)
        try:
            self.found.append(measured(name, self._size))
        except Broken as broken:
            self.broken[name] = str(broken)


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

    session = Session(size)
    for _ in range(rounds):
        for name in EACH_ROUND:
            session.measure(name)
    for name in ONCE:
        if not (quick and name in _SLOW):
            session.measure(name)

    figures = medians(session.found)
    print(figures_table(figures), marks_table(figures), sep="\n\n")
    for name, reason in session.broken.items():
        print(f"not measured: {name}: {reason}", file=sys.stderr)
    return 1 if session.broken else 0


if __name__ == "__main__":
    sys.exit(main())
