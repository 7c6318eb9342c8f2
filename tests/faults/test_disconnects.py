"""F15: callers that hang up at any moment get nobody else's answer, and leave nothing behind."""

import asyncio
import contextlib
import random
from collections import Counter

import grpc.aio

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.store.values import ListQuery
from tests.faults.site import Site, rounds, until

_AT_ONCE = 50
_LATENCY_S = 0.0025  # 5 ms there and back


async def test_callers_that_hang_up_at_any_moment_leave_nothing_behind_and_mix_nothing_up(
    site: Site,
) -> None:
    @site.stack.tasks.task("work")
    async def work() -> None:
        pass

    await site.enqueue("work", "known")
    site.proxy.latency_s = _LATENCY_S
    at_rest = _left(site)
    counts = Counter[str]()

    async def call(number: int) -> None:
        task_id = f"task-{number}"
        method = random.choice(["enqueue", "get", "watch", "get none"])
        try:
            async with asyncio.timeout(random.uniform(0, 0.02)):
                await _call(site, method, task_id)
            counts[f"{method} answered"] += 1
        except TimeoutError:
            counts[f"{method} hung up"] += 1

    total = rounds(500)
    for start in range(0, total, _AT_ONCE):
        await asyncio.gather(*(call(number) for number in range(start, start + _AT_ONCE)))

    await until(lambda: _rests(site, at_rest), within=5)
    site.proxy.heal()
    page = await site.direct.list(ListQuery(), count=total)
    ids = [task.id for task in page.tasks]
    assert len(ids) == len(set(ids))
    assert counts["enqueue answered"] < len(ids) <= counts.total()
    assert all(counts[f"{method} hung up"] for method in ("enqueue", "get", "watch", "get none"))


async def _call(site: Site, method: str, task_id: str) -> None:
    """Make a call; the answer must be the one to it."""
    stub = site.stack.stub
    match method:
        case "enqueue":
            request = pb.EnqueueRequest(task_type="work", task_id=task_id)
            assert (await stub.Enqueue(request)).task.id == task_id
        case "get":
            assert (await stub.GetTask(pb.GetTaskRequest(task_id="known"))).task.id == "known"
        case "get none":
            other = f"no-{task_id}"
            try:
                await stub.GetTask(pb.GetTaskRequest(task_id=other))
                raise AssertionError("there is no such task")
            except grpc.aio.AioRpcError as error:
                assert other in (error.details() or "")
        case _:
            watch = stub.Watch(pb.WatchRequest(task_ids=["known"]))
            with contextlib.closing(_Cancelled(watch)):
                event = await watch.read()
                assert isinstance(event, task_pb2.TaskEvent)
                assert event.task_id == "known"


class _Cancelled:
    def __init__(self, call: grpc.aio.Call) -> None:
        self.close = call.cancel


def _left(site: Site) -> tuple[int, Counter[str]]:
    """Connections to the store, and what the event loop has to do."""
    coroutines = (str(task.get_coro()) for task in asyncio.all_tasks())
    return site.proxy.connections, Counter(text.partition(" at ")[0] for text in coroutines)


async def _rests(site: Site, at_rest: tuple[int, Counter[str]]) -> bool:
    connections, doing = _left(site)
    return connections <= at_rest[0] and doing <= at_rest[1]
