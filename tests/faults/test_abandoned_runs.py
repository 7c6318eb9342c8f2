"""Run with cancel_on_disconnect, whose caller hangs up before the store has answered."""

from collections.abc import AsyncIterator

import pytest

from taskline.v1 import task_service_pb2 as pb
from tests.faults.site import Site, until


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site.running() as site:

        @site.stack.tasks.task("work")
        async def work() -> None:
            pass

        yield site


async def _hang_up(site: Site, request: pb.RunRequest) -> None:
    """Begin to run a task, and go while the store has yet to answer."""
    hubs, servicer = site.stack.server._hubs, site.stack.server._tasks

    async def begun() -> bool:
        return bool(hubs.watched)

    async def over() -> bool:
        return not hubs.watched and not servicer._cancelling

    site.proxy.latency_s = 0.5
    run = site.stack.stub.Run(request)
    await until(begun, within=10)
    run.cancel()
    await until(over, within=10)


async def test_the_task_is_cancelled_as_soon_as_it_is_accepted(site: Site) -> None:
    enqueue = pb.EnqueueRequest(task_type="work", task_id="own")

    await _hang_up(site, pb.RunRequest(enqueue=enqueue, cancel_on_disconnect=True))

    assert (await site.direct.get("own")).state == "CANCELLED"


@pytest.mark.parametrize("request_id", ["", "another-request"])
async def test_the_task_of_another_caller_that_has_the_id_goes_on(
    site: Site, request_id: str
) -> None:
    await site.enqueue("work", "taken")
    enqueue = pb.EnqueueRequest(task_type="work", task_id="taken", request_id=request_id)

    await _hang_up(site, pb.RunRequest(enqueue=enqueue, cancel_on_disconnect=True))

    assert (await site.direct.get("taken")).state == "QUEUED"
