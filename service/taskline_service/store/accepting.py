"""New tasks, accepted or refused."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from taskline_service.store.chunks import chunks
from taskline_service.store.entries import enqueued, entry_of, sizes_of
from taskline_service.store.scripted import Scripted
from taskline_service.store.values import Enqueued, NewTask

_Step = Sequence[tuple[NewTask, dict[str, Any]]]


class Accepting(Scripted):
    """Accepts tasks."""

    async def enqueue(self, tasks: Sequence[NewTask], *, partial: bool = False) -> list[Enqueued]:
        """Accept tasks, in order; none if one is refused, unless `partial`.

        More than a hundred are checked first and then written in steps, so that a store that
        fails in between leaves those before accepted; a repeat adds the others.
        """
        entries = [entry_of(new) for new in tasks]
        steps = list(chunks(list(zip(tasks, entries, strict=True)), sizes_of(entries)))
        if len(steps) > 1 and not partial:
            checked = await self._check(steps)
            if not all(outcome.status.accepted for outcome in checked):
                return checked
        outcomes = [o for c in steps for o in await self._enqueue(c, partial=partial)]
        if any(new.delay is not None or new.due_us is not None for new in tasks):
            self.on_scheduled()
        return outcomes

    async def check(self, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """What `enqueue` would answer; changes nothing."""
        entries = [entry_of(new) for new in tasks]
        return await self._check(chunks(list(zip(tasks, entries, strict=True)), sizes_of(entries)))

    async def _check(self, steps: Iterable[_Step]) -> list[Enqueued]:
        outcomes, ahead = list[Enqueued](), Counter[bytes]()
        for step in steps:
            outcomes += await self._enqueue(step, check_only=True, ahead=ahead)
        return outcomes

    async def _enqueue(
        self,
        chunk: _Step,
        *,
        partial: bool = False,
        check_only: bool = False,
        ahead: Counter[bytes] | None = None,
    ) -> list[Enqueued]:
        """One step; `ahead` counts what it and those before it add to queues that are limited."""
        reply = await self._script(
            "enqueue",
            {
                "tasks": [entry for _, entry in chunk],
                "partial": partial,
                "check_only": check_only,
                "max_queued": self.max_queued or None,
                "ahead": dict(ahead) if ahead else None,
            },
        )
        if ahead is not None:
            ahead.update(dict(reply[b"added"]))
        return [
            enqueued(new.spec, outcome, reply.get(b"rev", 0))
            for (new, _), outcome in zip(chunk, reply[b"outcomes"], strict=True)
        ]
