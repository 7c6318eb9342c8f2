"""Which queues a worker takes tasks from, and from which of them first. Pure."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class QueueOrder(StrEnum):
    """How a worker chooses between queues that all have tasks."""

    # The most urgent task first, whatever its queue; no queue starves.
    URGENCY = "urgency"
    # Each time a queue by lot, a queue of weight 3 three times as often as one of weight 1.
    WEIGHTED = "weighted"
    # The first queue until it is empty, then the next: the later ones may starve.
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class QueueChoice:
    """Queues to take tasks from; without any, from every queue, also new ones."""

    # By queue, in the order in which they were named.
    weights: Mapping[str, int] = field(default_factory=dict)
    order: QueueOrder = QueueOrder.URGENCY

    @property
    def names(self) -> tuple[str, ...]:
        """The queues by name."""
        return tuple(self.weights)

    @property
    def by_rank(self) -> bool:
        """Whether the order of ranked() decides, before urgency does."""
        return self.order is not QueueOrder.URGENCY

    def ranked(self) -> tuple[str, ...]:
        """The queues in the order that holds for this one claim."""
        if self.order is not QueueOrder.WEIGHTED:
            return self.names
        # The first to ring: drawn in proportion to the weights, without putting back.
        rings = {name: random.expovariate(weight) for name, weight in self.weights.items()}
        return tuple(sorted(rings, key=rings.__getitem__))


EVERY_QUEUE = QueueChoice()
