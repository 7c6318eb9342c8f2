"""How many partitions a namespace has is decided once, and every process has to know it."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from taskline_client import TaskClient
from taskline_service.fsck import Invariant, check_store
from taskline_service.store import (
    Keys,
    TaskStore,
    WrongPartitions,
    check_partitions,
    opened,
    parse_redis_url,
)
from taskline_service.store.values import ListQuery
from tests.census import all_keys
from tests.partitions.test_store import of_partition
from tests.store.making import enqueue, new_task

ROOT = Path(__file__).parents[2]
TASKLINE = Path(sys.executable).with_name("taskline")
_READY = "taskline: serving on "


@pytest.fixture
def namespace() -> str:
    return f"number-{secrets.token_hex(4)}"


@asynccontextmanager
async def serving(redis_url: str, namespace: str, *options: str) -> AsyncIterator[str]:
    """`taskline serve` with a worker and the example tasks; gives its address."""
    process = await asyncio.create_subprocess_exec(
        *(TASKLINE, "serve", "--tasks", "examples.tasks:tasks", "--listen", "127.0.0.1:0"),
        *("--redis-url", redis_url, "--namespace", namespace, *options),
        *("--grace", "1", "--log-level", "error"),
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if "TASKLINE" not in name},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(40):
            ready = (await process.stdout.readline()).decode()
        assert ready.startswith(_READY), ready
        yield ready.removeprefix(_READY).strip()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def taskline(*arguments: str) -> tuple[int, str, str]:
    """Run a command to its end: its exit code, what it printed, and its log."""
    ran = await asyncio.to_thread(
        subprocess.run,
        [str(TASKLINE), *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if "TASKLINE" not in name},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.returncode, ran.stdout, ran.stderr


async def test_a_process_with_another_number_is_refused(redis_url: str, namespace: str) -> None:
    where = ("--redis-url", redis_url, "--namespace", namespace)
    registry = ("--tasks", "examples.tasks:tasks")
    async with serving(redis_url, namespace, "--partitions", "3") as address:
        async with TaskClient(address) as client:
            results = [await client.run("demo.divide", dividend=6, divisor=i) for i in (1, 2, 3)]
        others = [
            await taskline("serve", *where, "--listen", "127.0.0.1:0", "--partitions", "4"),
            await taskline("worker", *where, *registry),
            await taskline("fsck", *where, "--partitions", "2"),
        ]
        code, report, _ = await taskline("fsck", *where, "--partitions", "3")

    assert results == [6.0, 3.0, 2.0]
    assert [code for code, _, _ in others] == [1, 1, 6]
    for wanted, (_, printed, log) in zip((4, 1, 2), others, strict=True):
        line = (
            f"taskline: namespace {namespace} has 3 partitions in this store, not {wanted}:"
            " start with --partitions 3; another number takes another namespace"
        )
        assert line in log.splitlines()
        assert _READY not in printed
    assert code == 0
    assert "clean: 3 tasks" in report


async def test_the_first_who_starts_decides(redis_url: str, namespace: str) -> None:
    address = parse_redis_url(redis_url)
    async with opened(address, namespace, partitions=3) as store:
        await check_partitions(store, decide=False)
        undecided = [await all_keys(p.redis, p.keys) for p in store.partitions]
        await check_partitions(store, decide=True)
        await check_partitions(store, decide=True)
        decided = [await all_keys(p.redis, p.keys) for p in store.partitions]
        async with opened(address, namespace, partitions=2) as other:
            with pytest.raises(WrongPartitions):
                await check_partitions(other, decide=True)
        await store.redis.call(b"DEL", store.keys.prefix + b"partitions")

    assert undecided == [[], [], []]
    assert decided == [["partitions"], [], []]


async def test_a_store_from_before_there_were_any_has_one(redis_url: str, namespace: str) -> None:
    address = parse_redis_url(redis_url)
    async with (
        opened(address, namespace) as store,
        opened(address, namespace, partitions=2) as other,
    ):
        await enqueue(store, "a")

        with pytest.raises(WrongPartitions):
            await check_partitions(other, decide=True)
        await check_partitions(store, decide=True)

        assert "partitions" in await all_keys(store.redis, store.keys)


@pytest.mark.damages_store
async def test_a_task_in_another_partition_than_its_own_is_found(store: TaskStore) -> None:
    """As by a process that was told another number, which nobody refused."""
    (astray,) = of_partition(2, 1)
    other = store.partitions[1]
    alone = TaskStore(other.redis, Keys(other.keys.namespace, 1))
    await enqueue(alone, astray)

    report = await check_store(other.redis, other.keys)
    listed = await store.list(ListQuery(), count=10)

    assert [(o.invariant, o.subject, o.detail) for o in report.offences] == [
        (Invariant.PARTITION, f"task {astray}", "is in partition 1, and belongs in 2")
    ]
    assert report.offences[0].repair is None
    assert [task.id for task in listed.tasks] == [astray]


async def test_one_partition_is_a_store_as_ever(redis_url: str, namespace: str) -> None:
    """The store of one is the plain one, and its tokens have no parts."""
    async with opened(parse_redis_url(redis_url), namespace) as store:
        await enqueue(store, new_task("a"))
        page = await store.list(ListQuery(), count=1)

    assert type(store) is TaskStore
    assert store.partitions == (store,)
    assert len(page.revisions) == 1
