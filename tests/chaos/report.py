"""Tells of a chaos run, on the terminal and in the documentation."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.verdict import Verdict

BEGIN, END = "<!-- chaos run: begin -->", "<!-- chaos run: end -->"
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run and what came of it."""

    seed: int
    tormented_s: float
    # What was done how often.
    mischief: Counter[str]
    # Connections that were cut when they were to be.
    cuts: int
    # By process.
    deaths: dict[str, int]
    # By code, what callers were told and then tried again.
    errors: Counter[str]
    verdict: Verdict


def summary(run: Run) -> str:
    """All of it, in lines."""
    verdict = run.verdict
    return "\n".join(
        [
            f"seed {run.seed}, {run.tormented_s:.0f} s of mischief",
            "done: " + _listed(run.mischief) + f"; {run.cuts} connections cut in the middle",
            "deaths of processes: " + _listed(Counter(run.deaths)),
            "callers tried again after: " + (_listed(run.errors) or "nothing"),
            f"accepted {verdict.accepted}, ended {verdict.ended} ({_listed(verdict.states)})",
            f"executed more than once: {verdict.executed_again}; "
            f"failed after losing their worker too often, pills aside: {verdict.worker_lost}",
            f"lost {len(verdict.lost)}, recorded twice {len(verdict.twice)}"
            + ("" if verdict.log_whole else " (the log of events was not whole)")
            + f", offences found by fsck {len(verdict.offences)}, "
            f"other defects {len(verdict.defects)}",
            *_named("lost", verdict.lost),
            *_named("recorded twice", verdict.twice),
            *_named("fsck", verdict.offences),
            *_named("defect", verdict.defects),
            "SOUND" if verdict.sound else "NOT SOUND",
        ]
    )


def has_room(page: Path) -> bool:
    """Whether it is a page with the two marks between which an outcome goes."""
    return page.is_file() and all(mark in page.read_text("utf-8") for mark in (BEGIN, END))


def write_report(page: Path, run: Run) -> None:
    """Put the outcome into a page, between the two marks that are there for it."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    body = f"{BEGIN}\n```text\n{summary(run)}\n```\n{END}"
    page.write_text(f"{before}{body}{after}", "utf-8")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _named(what: str, entries: list[str]) -> list[str]:
    return [f"  {what}: {entry}" for entry in entries[:_SHOWN]]
