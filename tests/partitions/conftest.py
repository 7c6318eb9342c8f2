"""A namespace of four partitions on one plain server."""

from collections.abc import AsyncIterator

import pytest

from taskline_service.fsck import check_store
from taskline_service.store import TaskStore, opened, parse_redis_url
from tests.census import remove_keys
from tests.stack import Stack

PARTITIONS = 4


@pytest.fixture
async def store(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[TaskStore]:
    """Empty; and sound in the end, unless the test damages it on purpose."""
    name = request.node.name.replace("[", "-").replace("]", "")[-50:]
    namespace = "".join(c if c.isalnum() else "-" for c in name)
    async with opened(parse_redis_url(redis_url), namespace, partitions=PARTITIONS) as store:
        yield store
        for partition in store.partitions:
            report = await check_store(partition.redis, partition.keys)
            await remove_keys(partition.redis, partition.keys)
            if request.node.get_closest_marker("damages_store") is None:
                assert report.clean, report.offences


@pytest.fixture
async def stack(store: TaskStore, redis_url: str) -> AsyncIterator[Stack]:
    """A server and a client; workers on demand."""
    async with Stack.running(store, parse_redis_url(redis_url)) as running:
        yield running
