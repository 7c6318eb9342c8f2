"""Several partitions are one store to whoever uses it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from taskline_service.errors import TaskNotFound, TooManyQueues
from taskline_service.store import PartitionedStore, TaskStore, directory_of
from taskline_service.store import directory as store_directory
from taskline_service.store.keys import partition_of
from taskline_service.store.values import Completion, EnqueueStatus, ListQuery, NewTask
from taskline_service.task import Task, TaskState
from tests.census import all_keys
from tests.partitions.conftest import PARTITIONS
from tests.store.making import AN_HOUR, claim_all, enqueue, new_task

IDS = [f"t-{number:02}" for number in range(40)]


async def where(store: TaskStore, task_id: str) -> list[int]:
    """The partitions that have a record of the task."""
    return [
        partition.keys.partition
        for partition in store.partitions
        if f"t:{task_id}" in await all_keys(partition.redis, partition.keys)
    ]


def of_partition(partition: int, count: int) -> list[str]:
    """Ids of tasks in this partition."""
    ids = (f"p-{number}" for number in range(10_000))
    found = (task_id for task_id in ids if partition_of(task_id, PARTITIONS) == partition)
    return [next(found) for _ in range(count)]


def statuses(outcomes: list[Any]) -> list[EnqueueStatus]:
    return [outcome.status for outcome in outcomes]


def test_the_partition_of_an_id_never_changes() -> None:
    """Stores are divided by it: another function would look for their tasks elsewhere."""
    assert [partition_of(task_id, 4) for task_id in ("a", "b", "t-01", "ü")] == [3, 1, 1, 1]
    assert [partition_of(task_id, 1) for task_id in ("a", "b")] == [0, 0]


def test_everything_that_a_store_does_is_done_over_all_partitions() -> None:
    public = {name for name in dir(TaskStore) if not name.startswith("_")}
    made_of_others = {"stats"}  # of stats_replies alone

    assert public - made_of_others <= vars(PartitionedStore).keys()


async def test_a_task_is_in_exactly_one_partition_that_of_its_id(store: TaskStore) -> None:
    await enqueue(store, *IDS)

    places = [await where(store, task_id) for task_id in IDS]

    assert places == [[partition_of(task_id, PARTITIONS)] for task_id in IDS]
    assert {place for (place,) in places} == set(range(PARTITIONS))


async def test_what_is_asked_of_one_task_finds_it(store: TaskStore) -> None:
    await enqueue(store, *IDS)

    tasks = await store.get_many([*reversed(IDS), "absent"])
    one = await store.get("t-07", full=True)
    await store.cancel("t-07", reason="enough")
    ended, _ = await store.get_outcome("t-07")
    story = await store.story("t-07", after=0, count=10)
    await store.retry("t-07")
    await store.cancel("t-07")
    await store.delete("t-07")

    assert [task and task.id for task in tasks] == [*reversed(IDS), None]
    assert one.id == "t-07"
    assert (ended.state, story.task.id) == (TaskState.CANCELLED, "t-07")
    with pytest.raises(TaskNotFound):
        await store.get("t-07")


async def test_a_batch_is_accepted_whole_or_not_at_all(store: TaskStore) -> None:
    await enqueue(store, "t-05")
    batch = [new_task(task_id) for task_id in IDS]

    refused = await store.enqueue(batch)
    left = await store.list(ListQuery(), count=100)
    partly = await store.enqueue(batch, partial=True)

    assert statuses(refused)[5] is EnqueueStatus.TAKEN
    assert [task.id for task in left.tasks] == ["t-05"]
    assert [status.accepted for status in statuses(partly)] == [i != "t-05" for i in IDS]
    assert (await store.list(ListQuery(), count=1)).total == len(IDS)


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
async def test_pages_are_in_one_order_and_complete(store: TaskStore, newest_first: bool) -> None:
    for task_id in IDS:
        await enqueue(store, task_id)
    query = ListQuery(newest_first=newest_first)
    whole = await store.list(query, count=100)

    found, page = list[str](), await store.list(query, count=7)
    while True:
        assert len(page.tasks) <= 7
        found += [task.id for task in page.tasks]
        if page.after is None:
            break
        if newest_first:
            await enqueue(store, f"later-{len(found)}")  # on none of the pages to come
        after = ListQuery(newest_first=newest_first, after=page.after)
        page = await store.list(after, count=7)

    expected = list(reversed(IDS)) if newest_first else IDS
    assert [task.id for task in whole.tasks] == found == expected
    assert (whole.total, whole.more, len(whole.revisions)) == (len(IDS), False, PARTITIONS)


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
async def test_a_list_that_looks_tasks_up_one_by_one_finds_all_in_order(
    store: TaskStore, newest_first: bool
) -> None:
    """Each partition looks at so many at a time, and may find none of them: its page is short."""
    for first in range(0, 1200, 300):
        numbers = range(first, first + 300)
        queues = {i: "run" if i % 300 > 290 or i % 97 == 0 else "wait" for i in numbers}
        await enqueue(store, *(new_task(f"l-{i:04}", queue=queues[i]) for i in numbers))
    running = {claim.task_id for claim in await claim_all(store, queues=["run"])}
    query, found = ListQuery(min_attempts=1, newest_first=newest_first), list[Task]()

    page = await store.list(query, count=20)
    found += page.tasks
    while page.after is not None:
        page = await store.list(replace(query, after=page.after), count=20)
        found += page.tasks

    places = [(task.create_us, task.id) for task in found]
    assert {task.id for task in found} == running
    assert len(found) == len(running) > 40
    assert places == sorted(places, reverse=newest_first)


async def test_statistics_are_those_of_all(store: TaskStore) -> None:
    await enqueue(store, *IDS, new_task("later", delay=AN_HOUR))
    claims = await claim_all(store, count=30)
    await store.complete([Completion(claim, b"1") for claim in claims[:20]])

    stats = await store.stats(window=timedelta(minutes=5))
    of_queue = await store.stats(window=timedelta(minutes=5), queues=["default"])

    assert stats.states["work"] == {
        TaskState.SCHEDULED: 1,
        TaskState.QUEUED: 10,
        TaskState.RUNNING: 10,
        TaskState.COMPLETED: 20,
    } | {state: 0 for state in (TaskState.RETRYING, TaskState.FAILED, TaskState.CANCELLED)}
    assert sum(bucket.enqueued for bucket in stats.history) == len(IDS) + 1
    assert sum(bucket.completed for bucket in of_queue.history) == 20
    assert any(bucket.queue_time_p95 is not None for bucket in of_queue.history)


async def test_a_queue_is_paused_everywhere(store: TaskStore) -> None:
    directory = directory_of(store)
    await enqueue(store, *IDS, *(new_task(f"other-{i}", queue="other") for i in range(10)))

    paused = await directory.pause("default")
    claimed = {claim.spec.queue for claim in await claim_all(store)}
    resumed = await directory.resume("default")

    assert (paused.paused, paused.queued, resumed.paused) == (True, len(IDS), False)
    assert claimed == {"other"}
    assert len(await claim_all(store)) == len(IDS)
    queues = await directory.queues(count=10)
    assert [(queue.name, queue.queued, queue.running) for queue in queues] == [
        ("default", 0, len(IDS)),
        ("other", 0, 10),
    ]


async def test_a_pause_that_is_one_too_many_is_made_nowhere(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_directory, "MAX_PAUSED_QUEUES", 2)
    directory = directory_of(store)
    for name in ("a", "b"):
        await directory.pause(name)

    with pytest.raises(TooManyQueues):
        await directory.pause("c")

    assert [queue.name for queue in await directory.queues(count=10)] == ["a", "b"]
    for name in ("a", "b"):
        await directory.resume(name)


async def test_queues_come_page_by_page_whichever_partitions_have_them(store: TaskStore) -> None:
    directory, names = directory_of(store), [f"q-{i:02}" for i in range(25)]
    for name in names:
        await enqueue(store, new_task(f"of-{name}", queue=name))

    found = list[str]()
    while page := await directory.queues(after=found[-1] if found else "", count=4):
        found += [queue.name for queue in page]

    assert found == names == [queue.name for queue in await directory.all_queues()]


async def test_a_limit_is_for_the_queue_over_all_partitions(store: TaskStore) -> None:
    for partition in store.partitions:
        partition.max_queued = 10
    limited = PartitionedStore(store.partitions)
    (first, *_), (second, *_) = of_partition(0, 1), of_partition(1, 1)

    taken = await limited.enqueue([new_task(i) for i in IDS[:9]])
    whole = await limited.enqueue([new_task(first), new_task(second)])
    partly = await limited.enqueue([new_task(first), new_task(second)], partial=True)
    elsewhere = await limited.enqueue([new_task("z", queue="other")])

    assert all(outcome.status.accepted for outcome in (*taken, *elsewhere))
    assert statuses(whole) == [EnqueueStatus.CREATED, EnqueueStatus.FULL]
    assert statuses(partly) == [EnqueueStatus.CREATED, EnqueueStatus.FULL]
    assert (await store.list(ListQuery(), count=1)).total == 11


async def test_bulk_operations_reach_all(store: TaskStore) -> None:
    await enqueue(store, *IDS)

    cancelled = await store.cancel_many(IDS, states=[TaskState.QUEUED])
    retried = await store.retry_many(IDS[:10], states=[TaskState.CANCELLED])
    deleted = await store.delete_many(IDS, states=[TaskState.CANCELLED])

    assert (cancelled, retried, deleted) == (40, 10, 30)
    assert (await store.list(ListQuery(), count=1)).total == 10


async def test_types_that_nobody_serves_are_seen_in_every_partition(store: TaskStore) -> None:
    tasks: list[NewTask] = [
        new_task(of_partition(partition, 1)[0], task_type=f"type{partition}")
        for partition in range(PARTITIONS)
    ]
    await enqueue(store, *tasks)

    assert await directory_of(store).unserved_types() == {f"type{i}" for i in range(PARTITIONS)}
