"""Task code that forks: the copy ends where the code does, and does none of the worker's work."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskline_client import Output
from taskline_service.supervisor import Supervisor
from tests.e2e.forking_tasks import tasks
from tests.stack import Stack, divided

LIMIT = timedelta(seconds=30)
PLACES = ["thread", "process", "loop", "process_loop"]
# How the copy ends, and the exit code that this means.
WAYS = {"return": 0, "exit": 7, "raise": 1, "report": 1, "log": 0, "be terminated": -15}
STANDARD = {"multiprocessing": [2, 4, 6], "terminate": -15, "subprocess": 42}


@pytest.fixture
async def worker(stack: Stack, redis_url: str) -> AsyncIterator[Stack]:
    """A `taskline worker` process of its own: what it forks is no copy of the tests."""
    stack.tasks.include(tasks)
    command = (
        str(Path(sys.executable).with_name("taskline")),
        *("worker", "--tasks", "tests.e2e.forking_tasks:tasks", "--grace", "0"),
        *("--namespace", stack.store.keys.namespace, *divided(stack.store)),
    )
    supervisor = Supervisor(
        command,
        count=1,
        grace=timedelta(0),
        environment=lambda _number: {"TASKLINE_REDIS_URL": redis_url},
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        try:
            yield stack
        finally:
            supervisor.stop()


async def run(stack: Stack, task_type: str, **arguments: Any) -> Any:
    return await (await stack.client.enqueue(task_type, arguments)).result(timeout=LIMIT)


@pytest.mark.parametrize("place", PLACES)
async def test_a_forked_copy_ends_where_the_code_of_its_task_ends(
    worker: Stack, place: str
) -> None:
    before = await run(worker, "pid")

    codes = {how: await run(worker, f"forks.{place}", how=how) for how in WAYS}

    assert codes == WAYS
    assert await run(worker, "pid") == before, "the worker goes on"


@pytest.mark.parametrize("place", ["loop", "process_loop"])
@pytest.mark.parametrize("how", ["await", "of its own"])
async def test_a_forked_copy_ends_where_its_coroutine_lets_others_run(
    worker: Stack, place: str, how: str
) -> None:
    before = await run(worker, "pid")

    # Where it goes on at all: asyncio tells it that there is no loop in the copy.
    assert await run(worker, f"forks.{place}", how=how) in (0, 1)
    assert await run(worker, "pid") == before


async def test_a_forked_copy_ends_where_its_generator_yields(worker: Stack) -> None:
    handle = await worker.client.enqueue("forks.yields")

    outputs = [e.value async for e in handle.watch() if isinstance(e, Output)]

    assert outputs == [1, 0]


@pytest.mark.parametrize("place", ["thread", "process", "loop"])
async def test_multiprocessing_and_subprocess_work_in_tasks(worker: Stack, place: str) -> None:
    before = await run(worker, "pid")

    came = {how: await run(worker, f"others.{place}", how=how) for how in STANDARD}

    assert came == STANDARD
    assert await run(worker, "pid") == before, "terminating a child ends no worker"
