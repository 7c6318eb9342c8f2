"""New tasks, accepted or refused."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from taskline_service.store.chunks import ENQUEUES_PER_CALL, chunks
from taskline_service.store.entries import enqueued, entry_of, sizes_of
from taskline_service.store.scripted import Scripted
from taskline_service.store.values import Enqueued, NewTask

_Step = Sequence[tuple[NewTask, dict[str, Any]]]

_NOWHERE: Mapping[str, int] = {}


@dataclass(slots=True)
class _Ahead:
    """What the steps that were checked will add, before any of them is written."""

    added: Counter[bytes] = field(default_factory=Counter)
    lines: set[bytes] = field(default_factory=set)

    @classmethod
    def of(cls, elsewhere: Mapping[str, int]) -> Self:
        """At first: what waits elsewhere, by queue."""
        return cls(Counter({queue.encode(): number for queue, number in elsewhere.items()}))


class Accepting(Scripted):
    """Accepts tasks."""

    async def enqueue(
        self,
        tasks: Sequence[NewTask],
        *,
        partial: bool = False,
        elsewhere: Mapping[str, int] = _NOWHERE,
    ) -> list[Enqueued]:
        """Accept tasks, in order; none if one is refused, unless `partial`.

        More than a hundred are checked first and then written in steps, so that a store that
        fails in between leaves those before accepted; a repeat adds the others. `elsewhere` are
        waiting tasks by queue that count too where queues are limited.
        """
        steps = _steps_of(tasks)
        if len(steps) > 1 and not partial:
            checked = await self._check(steps, elsewhere)
            if not accepted(checked):
                return checked
        outcomes = list[Enqueued]()
        for number, step in enumerate(steps, start=1):
            ahead = _Ahead.of(elsewhere) if elsewhere else None
            outcomes += await self._enqueue(step, partial=partial, ahead=ahead)
            if not partial and not accepted(outcomes):  # somebody was faster than we were
                outcomes += await self._check(steps[number:], elsewhere)
                break
        if any(new.delay is not None or new.due_us is not None for new in tasks):
            self.on_scheduled()
        return outcomes

    async def check(
        self, tasks: Sequence[NewTask], *, elsewhere: Mapping[str, int] = _NOWHERE
    ) -> list[Enqueued]:
        """What `enqueue` would answer; changes nothing."""
        return await self._check(_steps_of(tasks), elsewhere)

    async def _check(self, steps: Iterable[_Step], elsewhere: Mapping[str, int]) -> list[Enqueued]:
        outcomes, ahead = list[Enqueued](), _Ahead.of(elsewhere)
        for step in steps:
            outcomes += await self._enqueue(step, check_only=True, ahead=ahead)
        return outcomes

    async def _enqueue(
        self,
        chunk: _Step,
        *,
        partial: bool = False,
        check_only: bool = False,
        ahead: _Ahead | None = None,
    ) -> list[Enqueued]:
        """One step; `ahead` knows what it and those before it add to what is limited."""
        reply = await self._script(
            "enqueue",
            {
                "tasks": [entry for _, entry in chunk],
                "partial": partial,
                "check_only": check_only,
                "max_queued": self.max_queued or None,
                "max_lines": self.max_lines,
                "ahead": ahead and {"added": dict(ahead.added), "lines": sorted(ahead.lines)},
            },
        )
        self._told_of(reply[b"damaged"])
        if ahead is not None:
            ahead.added.update(dict(reply[b"added"]))
            ahead.lines.update(reply[b"new_lines"])
        return [
            enqueued(new.spec, outcome, reply.get(b"rev", 0))
            for (new, _), outcome in zip(chunk, reply[b"outcomes"], strict=True)
        ]


def _steps_of(tasks: Sequence[NewTask]) -> list[_Step]:
    entries = [entry_of(new) for new in tasks]
    new = list(zip(tasks, entries, strict=True))
    return list(chunks(new, sizes_of(entries), most=ENQUEUES_PER_CALL))


def accepted(outcomes: Iterable[Enqueued]) -> bool:
    """Whether none was refused."""
    return all(outcome.status.accepted for outcome in outcomes)
