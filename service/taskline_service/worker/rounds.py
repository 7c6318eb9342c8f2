"""Which partition a worker asks for tasks next, one call at a time.

Partitions are asked in turn, each again as long as it gives all that is wanted. One that has
given less is not asked again before something is said to wait there. If nothing is said of any, one
of them is asked at each look, so that an idle worker asks no more often however many there are.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from taskline_service.errors import TasklineError
from taskline_service.queue_order import QueueChoice
from taskline_service.store import TaskStore, new_call
from taskline_service.task import Claim

log = logging.getLogger(__name__)

_LEAVE_ALONE_S = 0.5


@dataclass(slots=True, eq=False)
class _Place:
    """A partition, as the worker knows it."""

    store: TaskStore
    # The claim that has no answer yet: repeated as it is until it has.
    call: bytes = field(default_factory=new_call)
    # Task types of which there was nothing (more) when it was asked last.
    empty_of: frozenset[str] = frozenset()
    # It failed, and until when it is left alone in any case (monotonic).
    away: bool = False
    back_at: float = 0.0

    @property
    def number(self) -> int:
        """As people know it."""
        return self.store.keys.partition


class ClaimRounds:
    """Claims tasks of all partitions for one worker."""

    def __init__(
        self, store: TaskStore, *, worker: str, queues: QueueChoice, isolates: bool
    ) -> None:
        """What stays the same from claim to claim; see Claims.claim."""
        self._places = tuple(map(_Place, store.partitions))
        self._turn = deque(self._places)
        self._worker = worker
        self._queues = queues
        self._isolates = isolates

    def hint(self, partition: int) -> None:
        """Something may wait in this partition."""
        self._places[partition].empty_of = frozenset()

    def promising(self, task_types: Iterable[str]) -> bool:
        """Whether there is a partition to ask without waiting first."""
        wanted = frozenset(task_types)
        return any(not place.away and not wanted <= place.empty_of for place in self._places)

    async def claim(
        self, task_types: Sequence[str], *, count: int, lease: timedelta
    ) -> tuple[list[Claim], list[str]]:
        """Ask the next partition for up to `count` tasks.

        Returns the claims, and ids that waited although their record is gone or damaged.

        Raises:
            TasklineError: It cannot answer, nor could any other before.
        """
        place = self._next(task_types)
        # Before the call: what is said to wait there meanwhile may be more than it gives.
        place.empty_of = frozenset(task_types)
        try:
            claims, dangling, more = await place.store.claim(
                task_types,
                queues=self._queues,
                count=count,
                worker=self._worker,
                lease=lease,
                call=place.call,
                isolates=self._isolates,
            )
        except TasklineError as error:
            place.empty_of = frozenset()
            if not self._can_do_without(place, error):
                raise
            return [], []
        place.call = new_call()
        if more:
            place.empty_of = frozenset()
        return claims, dangling

    def _next(self, task_types: Sequence[str]) -> _Place:
        self._see_who_is_back()
        wanted = frozenset(task_types)
        there = [place for place in self._turn if not place.away] or list(self._turn)
        place = next((place for place in there if not wanted <= place.empty_of), there[0])
        self._turn.remove(place)
        self._turn.append(place)
        return place

    def _can_do_without(self, failed: _Place, error: TasklineError) -> bool:
        """Leave it alone for a while, if there are others."""
        if len(self._places) == 1:
            return False
        if not failed.away:
            log.warning("partition %d: no tasks for now: %s", failed.number, error)
        failed.away, failed.back_at = True, time.monotonic() + _LEAVE_ALONE_S
        return any(not place.away for place in self._places)

    def _see_who_is_back(self) -> None:
        """A partition whose connection is not there again holds up no claim on the others."""
        for place in self._places:
            if place.away and time.monotonic() >= place.back_at:
                if place.store.redis.connected:
                    place.away = False
                else:
                    place.store.redis.connect_soon()
