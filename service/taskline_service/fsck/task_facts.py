"""The facts about a task, as the rules read them."""

from dataclasses import dataclass
from typing import Any

from taskline_service.fsck.facts import Repair, Seen
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, shown
from taskline_service.task import TaskState


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What lua/_facts.lua tells of a task; None stands for what there is not."""

    seen: Seen
    # Whether no move understands its record.
    damaged: bool
    fields: dict[bytes, bytes]
    spec: bytes | None
    error: bytes | None
    progress: bytes | None
    result_size: int | None
    # The sequence of the last event in its history, 0 without one.
    last_recorded: int
    # How many earlier ones are kept.
    attempts_kept: int
    place_score: float | None
    index_score: float | None
    timeout_score: float | None
    # The score of each label in its index.
    labels: dict[bytes, float | None]

    @classmethod
    def of(cls, seen: Seen) -> "TaskFacts | None":
        """None if there is no such task."""
        if not seen.facts:
            return None
        damaged, fields, *others = seen.facts
        spec, error, progress, result, last, kept, place, index, timeout, labels = (
            _or_none(fact) for fact in others
        )
        pairs = iter(fields)
        return cls(
            seen,
            damaged,
            dict(zip(pairs, pairs, strict=True)),
            spec,
            error,
            progress,
            result,
            int((last or b"0").partition(b"-")[0]),
            kept,
            _score(place),
            _score(index),
            _score(timeout),
            {name: _score(_or_none(score)) for name, score in labels},
        )

    @property
    def id(self) -> bytes:
        """Its id."""
        return bytes(self.seen.subject)

    @property
    def state(self) -> TaskState:
        """Its state, which must be one that there is."""
        return TaskState(self.fields[b"st"].decode())

    @property
    def line(self) -> bytes:
        """Its task type and queue."""
        return self.fields[b"ln"]

    def has(self, name: bytes) -> bool:
        """Whether the record has a field."""
        return name in self.fields

    def number(self, name: bytes) -> int:
        """A field, 0 if there is none."""
        return int(self.fields.get(name, 0))

    def ill_formed(self, invariant: Invariant, detail: str) -> Offence:
        """An offence because of which nothing else can be told of this task.

        If no move understands the record either, it is set apart: it would be there for ever.
        """
        mend = Repair("set it apart", self.seen, apart=self.key) if self.damaged else None
        return Offence(invariant, f"task {shown(self.id)}", detail, mend)

    @property
    def key(self) -> bytes:
        """Of its record."""
        return b"t:" + self.id

    def offence(
        self,
        invariant: Invariant,
        detail: str,
        repair: str | None = None,
        *commands: tuple[bytes | str, ...],
        line: bytes | None = None,
    ) -> Offence:
        """An offence of this task; the commands mend it."""
        mend = Repair(repair, self.seen, commands, line) if repair else None
        return Offence(invariant, f"task {shown(self.id)}", detail, mend)


def _or_none(fact: Any) -> Any:
    return None if fact is False else fact


def _score(text: bytes | None) -> float | None:
    return None if text is None else float(text)
