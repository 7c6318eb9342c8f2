"""Single tasks that come at about the same time: one call of the script, an answer for each."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from taskline_service.errors import StoreUnavailable
from taskline_service.store import Folding, TaskStore, answered_by
from taskline_service.store.values import Conflict, Enqueued, EnqueueStatus, NewTask
from tests.store.making import enqueue, new_task


async def revision(store: TaskStore) -> int:
    """Counts the calls that changed tasks."""
    return int(await store.redis.call(b"GET", store.keys.revision) or 0)


async def fold(store: TaskStore, *news: NewTask) -> list[Enqueued]:
    folding = Folding(store)
    return await asyncio.gather(*map(folding.enqueue, news))


async def test_tasks_that_come_together_are_accepted_in_one_call(store: TaskStore) -> None:
    before = await revision(store)

    outcomes = await fold(store, *(new_task(f"t-{i}") for i in range(50)))

    assert {outcome.status for outcome in outcomes} == {EnqueueStatus.CREATED}
    assert [(await store.get(f"t-{i}")).id for i in range(50)] == [f"t-{i}" for i in range(50)]
    assert await revision(store) == before + 1


async def test_no_call_has_more_tasks_than_it_may(store: TaskStore) -> None:
    before = await revision(store)

    await fold(store, *(new_task(f"t-{i}") for i in range(250)))

    assert await revision(store) == before + 3


async def test_while_the_store_takes_its_time_more_come_together(store: TaskStore) -> None:
    folding, before = Folding(store), await revision(store)
    await store.redis.call(b"CLIENT", b"PAUSE", b"1000", b"WRITE")

    calls = []
    for i in range(20):
        calls.append(asyncio.create_task(folding.enqueue(new_task(f"t-{i}"))))
        await asyncio.sleep(0.002)  # longer than the pace
    await asyncio.gather(*calls)

    assert await revision(store) == before + 3, "two are on their way, all others wait"


async def test_each_gets_the_answer_to_its_own_task(store: TaskStore) -> None:
    await enqueue(store, new_task("taken", request_id="r", digest=b"1"))

    outcomes = await fold(
        store,
        new_task("a"),
        new_task("taken"),
        new_task("taken-2", on_conflict=Conflict.USE_EXISTING),
        new_task("b"),
    )

    assert [outcome.status for outcome in outcomes] == [
        EnqueueStatus.CREATED,
        EnqueueStatus.TAKEN,
        EnqueueStatus.CREATED,
        EnqueueStatus.CREATED,
    ]


async def test_of_two_that_name_the_same_task_the_second_finds_that_of_the_first(
    store: TaskStore,
) -> None:
    first, second, third = await fold(
        store,
        new_task("a", uid="1"),
        new_task("a", uid="2"),
        new_task("a", uid="3", on_conflict=Conflict.USE_EXISTING),
    )

    assert (first.status, second.status) == (EnqueueStatus.CREATED, EnqueueStatus.TAKEN)
    assert (third.status, second.uid) == (EnqueueStatus.EXISTING, "1")


async def test_one_whose_caller_is_gone_holds_up_no_other(store: TaskStore) -> None:
    folding = Folding(store)
    left = asyncio.create_task(folding.enqueue(new_task("left")))
    others = [asyncio.create_task(folding.enqueue(new_task(f"t-{i}"))) for i in range(3)]
    await asyncio.sleep(0)
    left.cancel()

    outcomes = await asyncio.gather(*others)

    assert [outcome.status for outcome in outcomes] == [EnqueueStatus.CREATED] * 3
    assert left.cancelled()


class SilentStore(TaskStore):
    """Takes tasks and says nothing until it is told to."""

    def __init__(self, store: TaskStore) -> None:
        super().__init__(store.redis, store.keys)
        self.speaks = asyncio.Event()

    async def enqueue(self, tasks: Sequence[NewTask], **options: Any) -> list[Enqueued]:
        await self.speaks.wait()
        raise StoreUnavailable("it went away")


async def test_a_store_that_is_away_is_told_to_all(store: TaskStore) -> None:
    silent = SilentStore(store)
    silent.speaks.set()
    folding = Folding(silent)

    calls = [folding.enqueue(new_task(f"t-{i}")) for i in range(3)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3


async def test_each_waits_as_long_as_its_own_caller_does(store: TaskStore) -> None:
    folding = Folding(SilentStore(store))
    patient = asyncio.create_task(folding.enqueue(new_task("patient")))

    with (
        answered_by(asyncio.get_running_loop().time() + 0.05),
        pytest.raises(StoreUnavailable, match="in time"),
    ):
        await folding.enqueue(new_task("hasty"))

    assert not patient.done()
    patient.cancel()
