"""How often a worker asks the store for tasks."""

from typing import Any

import pytest

from taskline.v1 import task_service_pb2 as pb
from tests.stack import Stack


@pytest.mark.one_partition
async def test_a_worker_that_has_a_slot_again_asks_only_if_something_may_wait(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, claim = 0, stack.store.claim

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        return await claim(*args, **options)

    monkeypatch.setattr(stack.store, "claim", counted)

    @stack.tasks.task("nothing")
    async def nothing() -> None:
        pass

    async with stack.worker():
        for number in range(20):
            request = pb.EnqueueRequest(task_type="nothing", task_id=f"t-{number}")
            await stack.stub.Enqueue(request)
            await stack.stub.GetResult(pb.GetResultRequest(task_id=request.task_id, wait=True))

    # Once for each, once at its start, and about once a second in any case.
    assert 20 <= asked < 30
