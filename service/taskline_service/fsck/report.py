"""What a check found."""

from collections.abc import Sequence
from dataclasses import dataclass

from taskline_service.fsck.facts import Repair
from taskline_service.fsck.invariants import Invariant


@dataclass(frozen=True, slots=True)
class Offence:
    """Something that an invariant forbids."""

    invariant: Invariant
    # What is concerned: "task a1", "key r:a1", "line work:default".
    subject: str
    detail: str
    # None if no change would be safe.
    repair: Repair | None = None

    def __str__(self) -> str:
        return f"{self.invariant.name.lower()}: {self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of a check."""

    tasks: int
    keys: int
    # Damaged records that a repair has set apart; no offence.
    set_apart: int = 0
    # How many offences there are, and the first of them.
    total: int
    offences: tuple[Offence, ...]
    # What could not be told, because it changed all the time.
    undecided: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether every invariant holds."""
        return not self.total


def of_all(reports: Sequence[Report], *, told: int) -> Report:
    """One report of the partitions of a namespace."""
    return Report(
        tasks=sum(report.tasks for report in reports),
        keys=sum(report.keys for report in reports),
        set_apart=sum(report.set_apart for report in reports),
        total=sum(report.total for report in reports),
        offences=tuple(offence for report in reports for offence in report.offences)[:told],
        undecided=tuple(text for report in reports for text in report.undecided),
    )


class Findings:
    """Collects offences: counts all, keeps the first of them."""

    def __init__(self, told: int) -> None:
        self._told = told
        # By what they say: a check may come across the same thing twice.
        self._kept = dict[str, Offence]()
        self.total = 0

    def add(self, offence: Offence) -> None:
        """Take one more."""
        text = str(offence)
        if text in self._kept:
            return
        self.total += 1
        if len(self._kept) < self._told:
            self._kept[text] = offence

    @property
    def offences(self) -> tuple[Offence, ...]:
        """Those that are kept."""
        return tuple(self._kept.values())


def quoted(text: bytes | str) -> str:
    """The beginning of any text, in quotes, so that it can be printed on one line."""
    return f"'{shown(text)[:40]}'"


def shown(text: bytes | str) -> str:
    """Any text, so that it can be printed on one line of a terminal."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
