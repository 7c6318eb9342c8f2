"""What all tests share: one real store for the run, and a Taskline of its own for each test."""

import asyncio
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from taskline_service.die_with_parent import wrapped
from taskline_service.embedded.binary import find_server
from taskline_service.fsck import check_store
from taskline_service.store import (
    Redis,
    TaskStore,
    check_partitions,
    opened,
    parse_redis_url,
)
from tests.census import remove_keys
from tests.stack import Stack

# Chosen with --hypothesis-profile=thorough.
settings.register_profile("thorough", max_examples=2000, stateful_step_count=80, deadline=None)


_TESTS_OF_ONE_PARTITION = {"store", "fsck"}


@pytest.fixture(scope="session", autouse=True)
def heeds_ctrl_c() -> None:
    """Programs that tests start inherit it, and a shell ignores it for what runs behind it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Valkey or Redis server for this run alone."""
    with tempfile.TemporaryDirectory(prefix="taskline-test-") as folder:
        socket = Path(folder) / "store.sock"
        options = ("--port", "0", "--unixsocket", str(socket), "--dir", folder, "--save", "")
        server = subprocess.Popen(wrapped(str(find_server()), *options), stdout=subprocess.DEVNULL)
        url = f"unix://{socket}"
        asyncio.run(_answers(url))
        yield url
        server.terminate()
        server.wait()


async def _answers(url: str) -> None:
    redis = Redis(parse_redis_url(url))
    await redis.call(b"PING", patience=10)
    await redis.close()


@pytest.fixture
async def store(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[TaskStore]:
    """A store of its own; the test fails if it leaves anything there that must not be.

    Tests that damage it on purpose say so: `@pytest.mark.damages_store`. It has as many partitions
    as TASKLINE_TEST_PARTITIONS says, but one for tests of what one partition does, and for those
    that look at its keys, or at an order that there is within one: `@pytest.mark.one_partition`.
    """
    partitions = int(os.environ.get("TASKLINE_TEST_PARTITIONS", "1"))
    of_one = request.node.get_closest_marker("one_partition") is not None
    if of_one or request.path.parent.name in _TESTS_OF_ONE_PARTITION:
        partitions = 1
    namespace = f"test-{secrets.token_hex(4)}"
    async with opened(parse_redis_url(redis_url), namespace, partitions=partitions) as store:
        if partitions > 1:
            await check_partitions(store, decide=True)
        yield store
        for partition in store.partitions:
            report = await check_store(partition.redis, partition.keys)
            await remove_keys(partition.redis, partition.keys)
            if request.node.get_closest_marker("damages_store") is None:
                offences = map(str, report.offences)
                assert report.clean, "\n".join(["the store is damaged:", *offences])


@pytest.fixture
async def stack(store: TaskStore, redis_url: str) -> AsyncIterator[Stack]:
    """A server and a client; workers on demand."""
    async with Stack.running(store, parse_redis_url(redis_url)) as running:
        yield running
