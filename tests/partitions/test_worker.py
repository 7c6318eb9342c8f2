"""A worker has tasks of all partitions, and an idle one asks no more often than of one."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_service_pb2 as pb
from taskline_service.errors import StoreUnavailable
from taskline_service.queue_order import EVERY_QUEUE
from taskline_service.store import TaskStore
from taskline_service.store.keys import partition_of
from taskline_service.task import Claim
from taskline_service.worker import rounds as rounds_module
from taskline_service.worker import worker as worker_module
from taskline_service.worker.rounds import ClaimRounds
from tests.partitions.conftest import PARTITIONS
from tests.partitions.test_store import of_partition
from tests.stack import Stack
from tests.store.making import LEASE, enqueue, new_task


def rounds_of(store: TaskStore) -> ClaimRounds:
    return ClaimRounds(store, worker="w", queues=EVERY_QUEUE, isolates=False)


async def claim(rounds: ClaimRounds, count: int) -> Sequence[Claim]:
    claims, _ = await rounds.claim(["work"], count=count, lease=LEASE)
    return claims


class Claims(Counter[int]):
    """How often each partition was asked for tasks, counted from the beginning of this on."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = asyncio.Condition()

    @classmethod
    def of(cls, store: TaskStore, monkeypatch: pytest.MonkeyPatch) -> "Claims":
        claims = cls()
        for partition in store.partitions:
            monkeypatch.setattr(partition, "claim", claims._counted(partition))
        return claims

    def _counted(self, partition: TaskStore) -> Any:
        ask = partition.claim

        async def counting(*args: Any, **options: Any) -> Any:
            async with self._asked:
                self[partition.keys.partition] += 1
                self._asked.notify_all()
            return await ask(*args, **options)

        return counting

    async def reach(self, total: int) -> None:
        """Wait for so many in all."""
        async with self._asked:
            await self._asked.wait_for(lambda: self.total() >= total)


async def test_tasks_of_all_partitions_are_executed(stack: Stack) -> None:
    done = list[str]()

    @stack.tasks.task("step")
    async def step(number: int) -> int:
        done.append(str(number))
        return number

    async with stack.worker(concurrency=4):
        results = await asyncio.gather(
            *(stack.client.run("step", number=number) for number in range(100))
        )
        info = await stack.admin.GetServerInfo(admin.GetServerInfoRequest())
        stats = await stack.stub.GetStats(pb.GetStatsRequest())
        workers = await stack.admin.ListWorkers(admin.ListWorkersRequest())

    assert results == list(range(100))
    assert len(done) == 100
    assert (info.partitions, stats.total, len(workers.workers)) == (PARTITIONS, 100, 1)


async def test_partitions_with_tasks_are_asked_in_turn(store: TaskStore) -> None:
    for partition in range(PARTITIONS):
        await enqueue(store, *of_partition(partition, 6))
    rounds = rounds_of(store)

    taken = [await claim(rounds, 2) for _ in range(12)]

    partitions = [{partition_of(each.task_id, PARTITIONS) for each in step} for step in taken]
    assert partitions == [{0}, {1}, {2}, {3}] * 3
    assert rounds.promising(["work"])  # each gave all that was wanted: there may be more


async def test_what_is_empty_is_left_alone_until_something_is_said_to_wait_there(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, asked = rounds_of(store), Claims.of(store, monkeypatch)
    while rounds.promising(["work"]):
        assert not await claim(rounds, 1)
    first = dict(asked)
    asked.clear()

    await enqueue(store, *of_partition(2, 1))
    rounds.hint(2)
    hinted = rounds.promising(["work"])
    (found,) = await claim(rounds, 5)

    assert first == dict.fromkeys(range(PARTITIONS), 1)
    assert hinted
    assert asked == {2: 1}
    assert store.partitions[2].keys.hold(found.task_id)
    assert not rounds.promising(["work"])
    assert rounds.promising(["work", "another type"])


async def test_a_hint_during_a_call_is_not_lost(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = rounds_of(store)
    while rounds.promising(["work"]):
        await claim(rounds, 1)
    (first, *_) = store.partitions
    ask = first.claim

    async def hinted_meanwhile(*args: Any, **options: Any) -> Any:
        answer = await ask(*args, **options)
        rounds.hint(0)
        return answer

    monkeypatch.setattr(first, "claim", hinted_meanwhile)
    rounds.hint(0)
    await claim(rounds, 1)

    assert rounds.promising(["work"])


async def test_an_idle_look_asks_one_partition(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, asked = rounds_of(store), Claims.of(store, monkeypatch)
    while rounds.promising(["work"]):
        await claim(rounds, 1)
    asked.clear()

    for _ in range(2 * PARTITIONS):
        await claim(rounds, 1)

    assert asked == dict.fromkeys(range(PARTITIONS), 2)


async def test_an_idle_worker_asks_no_more_often_than_of_one_partition(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK_EVERY_S", (0.1, 0.1))
    asked = Claims.of(stack.store, monkeypatch)

    @stack.tasks.task("step")
    async def step() -> None: ...

    async with stack.worker():
        await stack.client.run("step")
        await asked.reach(3 * PARTITIONS)  # it knows by now that all are empty
        asked.clear()
        began = asyncio.get_running_loop().time()
        await asked.reach(10)
        took = asyncio.get_running_loop().time() - began

    assert took > 0.5


async def test_a_partition_that_fails_holds_up_no_other(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for partition in range(PARTITIONS):
        await enqueue(store, *of_partition(partition, 3))
    rounds, failing = rounds_of(store), store.partitions[1]
    calls = list[bytes]()

    async def away(*args: Any, call: bytes, **options: Any) -> Any:
        calls.append(call)
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(failing, "claim", away)
        found = [claim for _ in range(9) for claim in await claim_of(rounds)]
    async with asyncio.timeout(5):
        while len(found) < 12:  # it is asked again before long
            found += await claim_of(rounds)

    assert len(calls) == 1
    assert not any(failing.keys.hold(claim.task_id) for claim in found[:9])
    assert len({claim.task_id for claim in found}) == 12


async def test_a_partition_that_is_back_is_asked_before_those_that_are_empty(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds_module, "_LEAVE_ALONE_S", 0.0)
    await enqueue(store, *of_partition(1, 1))
    rounds, failing = rounds_of(store), store.partitions[1]

    async def away(*args: Any, **options: Any) -> Any:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(failing, "claim", away)
        while rounds.promising(["work"]):
            await claim(rounds, 1)

    assert await claim(rounds, 1)


async def claim_of(rounds: ClaimRounds) -> Sequence[Claim]:
    await asyncio.sleep(0)
    return await claim(rounds, 1)


async def test_a_claim_without_an_answer_is_repeated_where_it_was_made(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(store, *of_partition(1, 1), *of_partition(2, 1))
    rounds, losing = rounds_of(store), store.partitions[1]
    ask = losing.claim

    async def lost(*args: Any, **options: Any) -> Any:
        await ask(*args, **options)
        raise StoreUnavailable("its answer got lost")

    with monkeypatch.context() as patch:
        patch.setattr(losing, "claim", lost)
        found = [claim for _ in range(4) for claim in await claim_of(rounds)]
    async with asyncio.timeout(5):
        while len(found) < 2:
            found += await claim_of(rounds)

    assert [claim.attempt for claim in found] == [1, 1]
    assert losing.keys.hold(found[1].task_id)


async def test_without_any_partition_it_is_said_that_the_store_is_away(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: Any, **options: Any) -> Any:
        raise StoreUnavailable("away")

    for partition in store.partitions:
        monkeypatch.setattr(partition, "claim", away)
    rounds = rounds_of(store)
    for _ in range(PARTITIONS - 1):
        assert not await claim(rounds, 1)

    with pytest.raises(StoreUnavailable):
        await claim(rounds, 1)


async def test_due_tasks_are_promoted_in_every_partition(stack: Stack) -> None:
    @stack.tasks.task("step")
    async def step() -> int:
        return 1

    async with stack.worker():
        later = pb.EnqueueRequest(task_type="step", delay=Duration(nanos=100_000_000))
        made = [(await stack.stub.Enqueue(later)).task.id for _ in range(3 * PARTITIONS)]
        answers = [
            await stack.stub.GetResult(pb.GetResultRequest(task_id=task_id, wait=True))
            for task_id in made
        ]

    assert [answer.result.json.number_value for answer in answers] == [1] * 3 * PARTITIONS


async def test_cancelled_tasks_stop_in_every_partition(stack: Stack) -> None:
    @stack.tasks.task("waits")
    async def waits() -> None:
        await asyncio.Event().wait()

    async with stack.worker(concurrency=20):
        tasks = [new_task(f"c-{i}", task_type="waits") for i in range(12)]
        await enqueue(stack.store, *tasks)
        for new in tasks:
            await stack.until(new.spec.id, lambda task: task.attempts == 1)
        answer = await stack.admin.CancelTasks(admin.CancelTasksRequest(filter=pb.TaskFilter()))
        answers = await asyncio.gather(
            *(
                stack.stub.GetResult(pb.GetResultRequest(task_id=new.spec.id, wait=True))
                for new in tasks
            )
        )

    assert answer.count == 12
    assert all(answer.HasField("error") for answer in answers)
