"""Opens the store of a namespace, which knows into how many partitions it is divided."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from taskline_service.errors import StoreUnavailable
from taskline_service.store.address import RedisAddress
from taskline_service.store.damage import DamageReport
from taskline_service.store.directory import Directory
from taskline_service.store.keys import Keys
from taskline_service.store.partitioned.store import PartitionedStore
from taskline_service.store.redis import Redis, backoff
from taskline_service.store.store import TaskStore

log = logging.getLogger(__name__)


class WrongPartitions(Exception):
    """The namespace has another number of partitions: its tasks would be looked for elsewhere."""

    def __init__(self, namespace: str, *, wanted: int, known: int) -> None:
        super().__init__(
            f"namespace {namespace} has {_number(known)} in this store, not {wanted}: start with"
            f" --partitions {known}; another number takes another namespace"
        )


@asynccontextmanager
async def opened(
    address: RedisAddress, namespace: str, *, partitions: int = 1, **settings: Any
) -> AsyncIterator[TaskStore]:
    """The store of a namespace, with a connection for each partition. Settings are TaskStore's.

    Raises:
        StoreUnavailable: Nobody answers there.
    """
    damage = DamageReport()
    async with AsyncExitStack() as stack:
        stores = list[TaskStore]()
        for keys in Keys.of_all(namespace, partitions):
            redis = Redis(address, home=keys.prefix, damage=damage)
            stores.append(TaskStore(await stack.enter_async_context(redis), keys, **settings))
        yield stores[0] if partitions == 1 else PartitionedStore(stores)


async def check_partitions(store: TaskStore, *, decide: bool) -> None:
    """Make sure that the namespace has as many partitions as this store takes it to have.

    Waits until the store takes commands. With `decide`, a namespace that nobody has used before
    has this number from now on.

    Raises:
        WrongPartitions: It has another number.
    """
    wanted, attempt = len(store.partitions), 0
    first = store.partitions[0]
    directory = Directory(first.redis, first.keys)
    while True:
        try:
            known = await directory.partitions(wanted if decide else None)
            break
        except StoreUnavailable as error:
            if not attempt:
                log.warning("%s; waiting for it", error)
            await asyncio.sleep(backoff(attempt))
            attempt += 1
    if known not in (None, wanted):
        raise WrongPartitions(first.keys.namespace, wanted=wanted, known=known)


def _number(partitions: int) -> str:
    return "one partition" if partitions == 1 else f"{partitions} partitions"
