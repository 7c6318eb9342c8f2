"""What is read of tasks: one at a time, or page by page."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from taskline_service.errors import TaskNotFound
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion, Failure, ListQuery, Output
from taskline_service.task import Claim, Progress, Task, TaskState
from tests.store.making import (
    BROKEN,
    NO_TIME,
    claim_all,
    claim_one,
    claimed,
    enqueue,
    new_task,
    promote,
    reach,
    reclaim,
)

EITHER_ORDER = pytest.mark.parametrize(
    "newest_first", [pytest.param(True, id="newest first"), pytest.param(False, id="oldest first")]
)


async def pages(store: TaskStore, query: ListQuery, *, count: int) -> AsyncIterator[list[Task]]:
    """The pages of a list, each asked for behind the one before."""
    more = True
    while more:
        page = await store.list(query, count=count)
        yield page.tasks
        more = page.more
        if more:
            query = replace(query, after=(page.tasks[-1].create_us, page.tasks[-1].id))


async def listed(store: TaskStore, query: ListQuery, *, count: int) -> list[str]:
    return [task.id async for page in pages(store, query, count=count) for task in page]


async def many_tasks(store: TaskStore) -> list[str]:
    """Tasks on six lines in five states; their ids, oldest first."""
    ids = [f"{i * 7919 % 100:02}" for i in range(90)]
    for i, task_id in enumerate(ids):
        await enqueue(store, new_task(task_id, task_type="xyz"[i % 3], queue="pq"[i // 3 % 2]))
    claims = await claim_all(store, 60, types="xyz")
    await store.complete([Completion(claim, b"1") for claim in claims[:20]])
    await store.fail([Failure(claim, BROKEN, None) for claim in claims[20:30]])
    for claim in claims[30:40]:
        await store.cancel(claim.task_id)
    await store.release(claims[30:40])
    return ids


# One task


async def test_an_unknown_task_is_not_found(store: TaskStore) -> None:
    with pytest.raises(TaskNotFound) as raised:
        await store.get("nobody")
    assert raised.value.task_id == "nobody"
    with pytest.raises(TaskNotFound):
        await store.get_outcome("nobody")


async def test_several_tasks_are_read_in_the_order_asked_for(store: TaskStore) -> None:
    ids = [f"t-{i}" for i in range(150)]
    await enqueue(store, *ids)

    tasks = await store.get_many([*reversed(ids), "nobody"])

    assert [task and task.id for task in tasks] == [*reversed(ids), None]


async def test_tasks_that_are_too_long_for_one_call_are_all_read(store: TaskStore) -> None:
    ids = [f"t-{i}" for i in range(9)]
    large = b'"%s"' % (b"x" * 500_000)
    await enqueue(store, *(new_task(task_id, input=large) for task_id in ids))

    tasks = await store.get_many([*ids, "nobody"], full=True)

    assert [task and task.id for task in tasks] == [*ids, None]
    assert all(task.spec.input == large for task in tasks if task)


async def test_a_story_that_is_too_long_for_one_call_is_told_whole(store: TaskStore) -> None:
    claim = await claimed(store, "a")
    outputs = [
        Output(claim, n, b'"%s"' % (b"x" * (100_000 if n < 20 else 1))) for n in range(1, 400)
    ]
    for output in outputs:
        await store.append([output])
    await store.complete([Completion(claim, b"1")])

    story = await store.story("a", after=0, count=1000)
    by_steps, after = list[int](), 0
    while step := (await store.story("a", after=after, count=7)).events:
        by_steps += [event.sequence for event in step]
        after = step[-1].sequence

    assert [event.sequence for event in story.events] == list(range(1, 403))
    assert (story.more, story.gap) == (False, False)
    assert by_steps == [event.sequence for event in story.events]


async def test_inputs_and_tracebacks_are_read_only_on_request(store: TaskStore) -> None:
    claim = await claimed(store, new_task("a", input=b'"' + b"x" * 9000 + b'"'))
    await store.fail([Failure(claim, BROKEN, None)])

    brief, full = await store.get("a"), await store.get("a", full=True)

    assert (brief.spec.input, brief.input_size, brief.attempt_history) == (b"", 9002, ())
    assert (len(full.spec.input), full.input_size) == (9002, 9002)
    assert brief.error is not None
    assert full.error is not None
    assert (brief.error.traceback, full.error.traceback) == ("", "Traceback: no good")


async def test_a_task_with_very_many_labels_is_read_whole(store: TaskStore) -> None:
    labels = {f"key-{i}": "ü" * 255 for i in range(16)}  # more than is read at first

    await enqueue(store, new_task("a", labels=labels))

    assert (await store.get("a")).spec.labels == labels


async def test_the_history_tells_of_every_attempt(store: TaskStore) -> None:
    failed = await claimed(store, "a", worker="w-1")
    await store.fail([Failure(failed, BROKEN, NO_TIME)])
    await promote(store, 1)
    await store.release([await claim_one(store, worker="w-2")])
    await claim_one(store, worker="w-3", lease=NO_TIME)
    await reclaim(store, 1, retry_delay=NO_TIME)
    await promote(store, 1)
    running = await claim_one(store, worker="w-4")

    while_running = (await store.get("a", full=True)).attempt_history
    await store.complete([Completion(running, b"1")])
    history = (await store.get("a", full=True)).attempt_history

    assert [(a.number, a.worker) for a in history] == [
        (1, "w-1"),
        (2, "w-2"),
        (3, "w-3"),
        (4, "w-4"),
    ]
    messages = [attempt.error and attempt.error.message for attempt in history]
    assert messages == ["no good", None, "the worker vanished while it held the task", None]
    assert history[0].error is not None
    assert history[0].error.traceback == "Traceback: no good"
    assert all(attempt.start_us <= attempt.end_us for attempt in history)
    assert while_running == (*history[:3], replace(history[3], end_us=0))


async def test_the_history_shows_the_latest_twenty_attempts(store: TaskStore) -> None:
    await enqueue(store, "a")
    for _ in range(24):
        await store.release([await claim_one(store)])
    await claim_one(store)

    history = (await store.get("a", full=True)).attempt_history

    assert [attempt.number for attempt in history] == list(range(6, 26))


async def test_a_task_that_failed_for_good_shows_its_last_error_in_the_history(
    store: TaskStore,
) -> None:
    await reach(store, TaskState.FAILED, "a")

    task = await store.get("a", full=True)

    assert [attempt.error for attempt in task.attempt_history] == [task.error]


async def report_and_complete(store: TaskStore, claim: Claim, number: int) -> None:
    # One after the other: two connections may be served in any order.
    await store.report_progress([(claim, Progress(current=number))])
    await store.complete([Completion(claim, b"%d" % number)])


async def test_what_is_read_is_one_instant(store: TaskStore) -> None:
    """State, progress, result and error belong together, also while they change."""
    seen = set[TaskState]()
    for number in range(30):
        claim = await claimed(store, f"t-{number}")
        outcome = asyncio.create_task(report_and_complete(store, claim, number))
        while not outcome.done():
            task, result = await store.get_outcome(claim.task_id)
            seen.add(task.state)
            ended = task.state is TaskState.COMPLETED
            assert (result is not None) is ended
            assert (task.end_us > 0) is ended
            assert task.progress is not None or not ended
        await outcome
    assert TaskState.COMPLETED in seen


# Pages


@pytest.fixture(
    params=[
        pytest.param(1000, id="all lines in one call"),
        pytest.param(4, id="each line in a call of its own"),
    ]
)
def lines_in_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskline_service.store.lines.INDEXES_PER_CALL", request.param)


@pytest.mark.usefixtures("lines_in_calls")
@EITHER_ORDER
@pytest.mark.parametrize("count", [1, 7, 45, 89, 90, 1000])
async def test_every_task_is_listed_once_and_in_order(
    store: TaskStore, newest_first: bool, count: int
) -> None:
    ids = await many_tasks(store)

    found = await listed(store, ListQuery(newest_first=newest_first), count=count)

    assert found == (ids[::-1] if newest_first else ids)


@pytest.mark.usefixtures("lines_in_calls")
@EITHER_ORDER
@pytest.mark.parametrize(
    ("query", "matches"),
    [
        pytest.param(ListQuery(states=[TaskState.COMPLETED]), range(20), id="one state"),
        pytest.param(
            ListQuery(states=[TaskState.FAILED, TaskState.CANCELLED, TaskState.RUNNING]),
            range(20, 60),
            id="several states",
        ),
        pytest.param(ListQuery(task_types=["x"]), range(0, 90, 3), id="one type"),
        pytest.param(ListQuery(queues=["q"]), [i for i in range(90) if i // 3 % 2], id="one queue"),
        pytest.param(
            ListQuery(states=[TaskState.QUEUED], task_types=["x", "y"], queues=["p"]),
            [i for i in range(60, 90) if i % 3 < 2 and not i // 3 % 2],
            id="all three",
        ),
        pytest.param(ListQuery(states=[TaskState.SCHEDULED]), [], id="none in this state"),
        pytest.param(ListQuery(queues=["unheard of"]), [], id="no such queue"),
        pytest.param(ListQuery(task_types=[]), [], id="of no type"),
    ],
)
async def test_a_list_has_all_and_only_what_matches(
    store: TaskStore, query: ListQuery, matches: Sequence[int], newest_first: bool
) -> None:
    ids = await many_tasks(store)
    query = replace(query, newest_first=newest_first)

    page = await store.list(query, count=1000)
    by_pages = await listed(store, query, count=4)

    expected = [ids[i] for i in matches]
    assert [task.id for task in page.tasks] == (expected[::-1] if newest_first else expected)
    assert by_pages == [task.id for task in page.tasks]
    assert (page.total, page.more) == (len(expected), False)


@pytest.mark.usefixtures("lines_in_calls")
@EITHER_ORDER
async def test_tasks_of_the_same_instant_are_listed_once_each(
    store: TaskStore, newest_first: bool
) -> None:
    ids = [f"t-{i:02}" for i in range(60)]
    await enqueue(store, *(new_task(id_, task_type="xy"[i % 2]) for i, id_ in enumerate(ids)))
    for i, task_id in enumerate(ids):
        index = f"i:QUEUED:{'xy'[i % 2]}:default".encode()
        await store.redis.call(b"ZADD", store.keys.prefix + index, b"1000", task_id)
        await store.redis.call(b"HSET", store.keys.prefix + b"t:" + task_id.encode(), b"ct", "1000")

    found = await listed(store, ListQuery(newest_first=newest_first), count=7)

    assert found == (ids[::-1] if newest_first else ids)


@pytest.mark.usefixtures("lines_in_calls")
@pytest.mark.damages_store
@EITHER_ORDER
async def test_pages_stay_in_step_while_tasks_come_go_and_move(
    store: TaskStore, newest_first: bool
) -> None:
    """Tasks that are there all the while, and stay as they match, are listed exactly once."""
    ids = await many_tasks(store)
    removed = set(ids[:20:2])
    brief = TaskStore(store.redis, store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME)
    found, number = list[str](), 0

    async for page in pages(store, ListQuery(newest_first=newest_first), count=9):
        found += [task.id for task in page]
        number += 1
        await enqueue(store, *(new_task(f"new-{number}-{i}", task_type="x") for i in range(5)))
        for claim in await claim_all(brief, 5, types="xyz"):
            await brief.complete([Completion(claim, b"1")])
        if number == 2:
            await brief.redis.call(
                b"DEL", *(brief.keys.prefix + b"t:" + i.encode() for i in removed)
            )

    assert len(found) == len(set(found))
    assert set(ids) - set(found) <= removed
    old = [task_id for task_id in found if not task_id.startswith("new")]
    ages = [ids.index(task_id) for task_id in old]
    assert ages == sorted(ages, reverse=newest_first)
    if newest_first:
        assert old == found, "what came later is not behind the first page"


@pytest.mark.usefixtures("lines_in_calls")
async def test_the_total_counts_all_that_match_on_every_page(store: TaskStore) -> None:
    await many_tasks(store)
    query = ListQuery(states=[TaskState.COMPLETED, TaskState.QUEUED])

    first = await store.list(query, count=10)
    last = first.tasks[-1]
    second = await store.list(replace(query, after=(last.create_us, last.id)), count=10)

    assert (first.total, second.total) == (50, 50)
    assert (first.more, second.more) == (True, True)


async def test_a_list_in_full_is_cut_short_before_it_grows_large(store: TaskStore) -> None:
    ids = [f"t-{i}" for i in range(9)]
    large = b'"%s"' % (b"x" * 1_000_000)
    await enqueue(store, *(new_task(task_id, input=large) for task_id in ids))
    query = ListQuery(full=True, newest_first=False)

    sizes = [[len(t.spec.input) for t in page] async for page in pages(store, query, count=9)]
    found = await listed(store, query, count=9)

    assert found == ids
    assert len(sizes) > 1
    assert all(sum(page) <= 6_000_000 for page in sizes)


async def test_a_list_tells_up_to_where_it_has_seen(store: TaskStore) -> None:
    empty = await store.list(ListQuery(), count=10)
    await enqueue(store, "a")

    page = await store.list(ListQuery(), count=10)

    assert (empty.tasks, empty.total, empty.more, empty.revisions) == ([], 0, False, (0,))
    assert page.tasks[0].revision == (await store.get("a")).revision == 1
    assert page.revisions == (1,)
