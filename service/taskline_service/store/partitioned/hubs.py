"""What happens to tasks, as it happens, in all partitions."""

import asyncio

from taskline_service.store.address import RedisAddress
from taskline_service.store.events import EventHub
from taskline_service.store.partitioned.by_partition import ByPartition
from taskline_service.store.store import TaskStore


class EventHubs(ByPartition[EventHub]):
    """The hub of each partition: each has an order and revisions of its own."""

    def __init__(self, store: TaskStore, address: RedisAddress) -> None:
        super().__init__(EventHub(p.redis, address, p.keys) for p in store.partitions)

    async def run(self) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as group:
            for hub in self:
                group.create_task(hub.run())

    async def listening(self) -> None:
        """Wait until whatever happens from now on is heard of."""
        for hub in self:
            await hub.listening()

    @property
    def watched(self) -> int:
        """How many tasks somebody watches."""
        return sum(hub.watched for hub in self)
