"""What measurements find, by name, and how a measurement is run alone."""

import argparse
import json
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import uvloop

from bench.marks import Verdict, judged

# The unit stands at the end of the name, after a comma; what has none is a ratio.
Figures = Mapping[str, float]
MANY, QUICKLY_MANY = 1_000_000, 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    # Everything smaller, for a first look.
    quick: bool
    # The tasks of a store that has many.
    many: int


Measure = Callable[[Size], Awaitable[Figures]]


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    """Of several rounds, of which each may have found other things."""
    names = dict.fromkeys(name for found in rounds for name in found)
    return {
        name: statistics.median(found[name] for found in rounds if name in found) for name in names
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def written(value: float) -> str:
    """With about three digits, and no more than anybody reads."""
    if value >= 100:  # noqa: PLR2004  # where decimals end
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004


def alone(measure: Measure) -> None:
    """Make a module a program, which prints what it finds.

    Fails if that misses a mark, of those that need nothing else; with --json, which is for other
    programs, it judges nothing.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, for a first look")
    parser.add_argument("--many", type=int, metavar="TASKS", help="of a store with many tasks")
    parser.add_argument("--json", action="store_true", help="the last line is for programs")
    options = parser.parse_args()
    many = options.many or (QUICKLY_MANY if options.quick else MANY)
    figures = uvloop.run(_found_by(measure, Size(quick=options.quick, many=many)))
    if options.json:
        print(json.dumps(dict(figures)))
        return
    for name, value in figures.items():
        print(f"{name:60} {written(value):>12}")
    missed = [one.mark for one in judged(figures) if one.verdict is Verdict.MISSED]
    if missed:
        sys.exit("\n".join(f"missed: {mark.what}: {written(mark.must)}" for mark in missed))


async def _found_by(measure: Measure, size: Size) -> Figures:
    return await measure(size)
