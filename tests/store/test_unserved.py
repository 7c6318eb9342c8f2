"""Tasks that nobody can run wait, and are reported."""

import logging

import pytest

from taskline_service.store import Directory, TaskStore
from taskline_service.unserved import UnservedTypes
from tests.stack import Stack


async def test_a_type_that_nobody_knows_any_more_waits_and_is_reported_once(
    stack: Stack, store: TaskStore, caplog: pytest.LogCaptureFixture
) -> None:
    @stack.tasks.task("known")
    async def known() -> None: ...

    @stack.tasks.task("forgotten")
    async def forgotten() -> None: ...

    handle = await stack.client.enqueue("forgotten")
    only_known = type(stack.tasks)()
    only_known.task("known")(known)
    unserved = UnservedTypes(Directory(store.redis, store.keys))
    async with stack.worker(tasks=only_known):
        await (await stack.client.enqueue("known")).result()
        with caplog.at_level(logging.WARNING, logger="taskline_service.unserved"):
            await unserved.look()
            await unserved.look()
        waiting = await handle.get()

    assert [record.getMessage() for record in caplog.records] == [
        "tasks of type forgotten wait, and no worker that runs now knows it"
    ]
    assert waiting.state == "QUEUED"
    async with stack.worker():
        await handle.result()
