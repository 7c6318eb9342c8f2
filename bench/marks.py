"""What is to be reached, and whether it was: pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_PEER = re.compile(r"(.+) \[([^\]]+)\]")


class Verdict(StrEnum):
    """Of one mark."""

    AIM = "aim met"
    MUST = "must met"
    MISSED = "missed"
    UNKNOWN = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One row: a figure, by itself, against another one, or against the best peer's."""

    what: str
    figure: str
    must: float
    aim: float
    # Whether less is better.
    at_most: bool = False
    against: str = ""
    against_peers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A mark with what was found."""

    mark: Mark
    value: float | None = None
    # The figure it is held against, and whose it is; none for a mark without.
    other: float | None = None
    other_name: str = ""
    # What is compared with must and aim.
    ratio: float | None = None
    verdict: Verdict = Verdict.UNKNOWN


def of_peer(figure: str, peer: str) -> str:
    """How a figure of a peer is called."""
    return f"{figure} [{peer}]"


def peer_in(name: str) -> tuple[str, str] | None:
    """The figure, and the peer whose it is; None if it is not a peer's."""
    match = _PEER.fullmatch(name)
    return (match[1], match[2]) if match else None


def by_peer(figure: str, figures: Mapping[str, float]) -> dict[str, float]:
    """One figure of each peer that has it."""
    told = ((peer_in(name), value) for name, value in figures.items())
    return {named[1]: value for named, value in told if named and named[0] == figure}


def judge(mark: Mark, figures: Mapping[str, float]) -> Judged:
    """Whether the figures reach the mark; unknown if one of them is missing."""
    value, other, other_name = figures.get(mark.figure), None, ""
    if mark.against:
        other, other_name = figures.get(mark.against), mark.against
    elif mark.against_peers:
        best = min if mark.at_most else max
        found = by_peer(mark.against_peers, figures)
        other_name, other = best(found.items(), key=lambda item: item[1], default=("", None))
    held_against = bool(mark.against or mark.against_peers)
    if value is None or (held_against and other is None):
        return Judged(mark=mark, value=value, other=other, other_name=other_name)
    ratio = value / other if other is not None else value
    return Judged(
        mark=mark,
        value=value,
        other=other,
        other_name=other_name,
        ratio=ratio,
        verdict=_verdict(mark, ratio),
    )


def _verdict(mark: Mark, ratio: float) -> Verdict:
    def reaches(limit: float) -> bool:
        return ratio <= limit if mark.at_most else ratio >= limit

    if reaches(mark.aim):
        return Verdict.AIM
    return Verdict.MUST if reaches(mark.must) else Verdict.MISSED


_ECHO = "echo: 100 in flight, /s"
_ECHO_P50 = "echo: 1 in flight, p50, ms"

MARKS = (
    Mark(
        what="single Enqueue calls, 100 in flight, against a gRPC echo",
        figure="enqueue: single calls, 100 in flight, /s",
        against=_ECHO,
        must=0.65,
        aim=0.85,
    ),
    Mark(
        what="the client's `enqueue()`, 100 in flight, against the fastest peer",
        figure="enqueue: the client's enqueue(), 100 in flight, /s",
        against_peers="enqueue: 100 in flight, /s",
        must=2,
        aim=4,
    ),
    Mark(
        what="BatchEnqueue of 100, against the fastest peer's batch",
        figure="enqueue: batches of 100, 4 in flight, tasks/s",
        against_peers="enqueue: batches of 100, tasks/s",
        must=3,
        aim=6,
    ),
    Mark(
        what="execution of a full queue, 1 worker process, against the fastest peer",
        figure="execution: 1 worker process, /s",
        against_peers="execution: 1 worker process, /s",
        must=6,
        aim=12,
    ),
    Mark(
        what="end to end by batches, against the fastest peer",
        figure="end to end: batches, tasks/s",
        against_peers="end to end, /s",
        must=6,
        aim=12,
    ),
    Mark(
        what="end to end by single calls, against the fastest peer",
        figure="end to end: single calls, /s",
        against_peers="end to end, /s",
        must=1.3,
        aim=1.7,
    ),
    Mark(
        what="end to end by batches until stored, against the fastest peer",
        figure="end to end: batches, stored, tasks/s",
        against_peers="end to end, stored, /s",
        must=6,
        aim=12,
    ),
    Mark(
        what="end to end by single calls until stored, against the fastest peer",
        figure="end to end: single calls, stored, /s",
        against_peers="end to end, stored, /s",
        must=1.3,
        aim=1.7,
    ),
    Mark(
        what="idle Enqueue and GetResult, p50, against the p50 of a gRPC echo",
        figure="round trip: Enqueue and GetResult, p50, ms",
        against=_ECHO_P50,
        must=3.2,
        aim=2.9,
        at_most=True,
    ),
    Mark(
        what="idle Run, p50, against the fastest peer's idle round trip",
        figure="round trip: Run, p50, ms",
        against_peers="round trip: p50, ms",
        must=1.05,
        aim=0.9,
        at_most=True,
    ),
    Mark(
        what="progress to watcher, p50, ms",
        figure="progress to watcher: p50, ms",
        must=0.5,
        aim=0.3,
        at_most=True,
    ),
    Mark(
        what="progress to watcher, p99, ms",
        figure="progress to watcher: p99, ms",
        must=2,
        aim=1,
        at_most=True,
    ),
    Mark(
        what="the store's processor time per task, by batches, µs",
        figure="store: processor per task, batches, µs",
        must=40,
        aim=20,
        at_most=True,
    ),
    Mark(
        what="memory in the store per waiting task, B",
        figure="memory: per waiting task, B",
        must=1_000,
        aim=700,
        at_most=True,
    ),
    Mark(
        what="memory in the store per finished task, B",
        figure="memory: per finished task, B",
        must=1_000,
        aim=650,
        at_most=True,
    ),
    Mark(
        what="a page of ListTasks, out of many tasks against out of 1,000",
        figure="list: worst page of 50, many against few",
        must=2,
        aim=1.2,
        at_most=True,
    ),
    Mark(
        what="longest time for which one script keeps the store busy, many tasks, ms",
        figure="scripts: longest, ms",
        must=5,
        aim=1,
        at_most=True,
    ),
    Mark(
        what="an enqueue, with many tasks waiting against 1,000",
        figure="deep queue: enqueue, many against few",
        must=1.3,
        aim=1.1,
        at_most=True,
    ),
    Mark(
        what="a claim, with many tasks waiting against 1,000",
        figure="deep queue: claim, many against few",
        must=1.3,
        aim=1.1,
        at_most=True,
    ),
    Mark(
        what="`taskline serve`, from its start to the first task done, s",
        figure="start-up: serve to first task done, s",
        must=1.5,
        aim=0.8,
        at_most=True,
    ),
    Mark(
        what="watch fan-out: memory of a server with 10,000 watchers, MB",
        figure="watch fan-out: server with idle watchers, MB",
        must=400,
        aim=400,
        at_most=True,
    ),
    Mark(
        what="watch fan-out: a report to each of 1,000 watchers of one task, p99, ms",
        figure="watch fan-out: p99, ms",
        must=250,
        aim=250,
        at_most=True,
    ),
)


def judged(figures: Mapping[str, float]) -> list[Judged]:
    """All marks, in their order."""
    return [judge(mark, figures) for mark in MARKS]
