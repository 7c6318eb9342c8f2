"""Three masters of a test's own, by each server program of this machine."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from taskline_service.embedded.binary import find_server
from taskline_service.fsck import check_store
from taskline_service.store import TaskStore, opened
from taskline_service.upkeep import RECLAIM_HOLD
from tests.cluster.nodes import Cluster
from tests.stack import Stack

# The one that comes with us, which is always there, and that of the system.
PROGRAMS = {"embedded": find_server()}
if found := shutil.which("redis-server"):
    PROGRAMS["redis-server"] = Path(found)
PARTITIONS = 4


@pytest.fixture(params=PROGRAMS)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three masters."""
    async with Cluster.running(tmp_path, program=PROGRAMS[request.param]) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Site:
    """A deployment over a cluster: server, client, workers on demand."""

    cluster: Cluster
    store: TaskStore
    stack: Stack


@pytest.fixture
async def site(cluster: Cluster) -> AsyncIterator[Site]:
    """Told of one node alone; what is stored is sound in the end."""
    address = cluster.nodes[0].address
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(address, "clustered", partitions=PARTITIONS))
        running = await stack.enter_async_context(Stack.running(store, address, hold=RECLAIM_HOLD))
        yield Site(cluster, store, running)
        for partition in store.partitions:
            report = await check_store(partition.redis, partition.keys)
            assert report.clean, report.offences
