"""The moves of tasks, each one script, and the reading of tasks."""

from collections.abc import Sequence

from taskline_service.store.accepting import Accepting
from taskline_service.store.claims import Claims
from taskline_service.store.due import Due
from taskline_service.store.operations import Operations
from taskline_service.store.reading import Reading


class TaskStore(Accepting, Claims, Operations, Due, Reading):
    """Reads tasks, and moves them from state to state.

    A move happens whole or not at all. Moves of many tasks are made in bounded steps, in
    order. What a worker does is accepted only under the claim that it was given.

    This is the store of one partition, which most deployments have; PartitionedStore is the same
    over several.
    """

    @property
    def partitions(self) -> Sequence["TaskStore"]:
        """The stores of its partitions: of one, itself."""
        return (self,)
