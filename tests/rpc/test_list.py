"""ListTasks: every condition of a filter, in both orders, page by page."""

import random
from collections.abc import Callable, Sequence

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion, Failure
from taskline_service.task import ErrorType, Task, TaskError
from tests.census import all_keys
from tests.filter_model import matches
from tests.stack import Stack
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    NO_TIME,
    claim_all,
    claim_one,
    enqueue,
    new_task,
)

State = task_pb2.Task.State
ErrorKind = task_pb2.TaskError.Type
TIMED_OUT = TaskError(error_type=ErrorType.TIMEOUT, message="too long")


def instant(us: int) -> Timestamp:
    return Timestamp(seconds=us // 1_000_000, nanos=us % 1_000_000 * 1000)


async def assorted_tasks(store: TaskStore) -> list[Task]:
    """Tasks of every kind that a filter can tell apart, oldest first."""
    for i in range(90):
        labels = {"customer": f"c-{i % 5}"} | ({"urgent": "yes=1"} if i % 4 == 0 else {})
        new = new_task(
            f"t-{i * 37 % 90:02}",
            task_type="xyz"[i % 3],
            queue="pq"[i // 3 % 2],
            labels=labels if i % 7 else {},
        )
        await enqueue(store, new)
    first = await claim_all(store, 30, types="xyz", worker="worker-1")
    second = await claim_all(store, 20, types="xyz", worker="worker-2")
    await store.complete([Completion(claim, b"1") for claim in first[:10]])
    await store.fail([Failure(claim, BROKEN, None) for claim in first[10:16]])
    await store.fail([Failure(claim, TIMED_OUT, None) for claim in second[:6]])
    await store.fail([Failure(claim, BROKEN, AN_HOUR) for claim in second[6:9]])
    await store.release(second[9:15])
    for claim in first[16:20]:
        await store.cancel(claim.task_id)
    await store.release(first[16:20])
    await store.cancel("t-53")  # the last, nobody has it
    again = await claim_all(store, 3, types="xyz", worker="worker-3")
    await store.fail([Failure(claim, TIMED_OUT, None) for claim in again])
    tasks = [task for task in await store.get_many([f"t-{i:02}" for i in range(90)]) if task]
    return sorted(tasks, key=lambda task: task.create_us)


async def pages(stack: Stack, request: pb.ListTasksRequest) -> list[pb.ListTasksResponse]:
    """All pages; `request` is used up."""
    found = []
    while True:
        found.append(await stack.stub.ListTasks(request))
        request.page_token = found[-1].next_page_token
        if not request.page_token:
            return found


async def listed(
    stack: Stack, chosen: pb.TaskFilter, *, order_by: str = "create_time", page_size: int = 1000
) -> list[str]:
    request = pb.ListTasksRequest(filter=chosen, order_by=order_by, page_size=page_size)
    return [task.id for page in await pages(stack, request) for task in page.tasks]


def conditions(tasks: Sequence[Task]) -> dict[str, pb.TaskFilter]:
    created = sorted(task.create_us for task in tasks)
    ended = sorted(task.end_us for task in tasks if task.end_us)
    return {
        "queues": pb.TaskFilter(queues=["q", "unheard-of"]),
        "task types": pb.TaskFilter(task_types=["x", "z"]),
        "states": pb.TaskFilter(states=[State.STATE_FAILED, State.STATE_QUEUED]),
        "a label": pb.TaskFilter(labels={"customer": "c-3"}),
        "several labels": pb.TaskFilter(labels={"customer": "c-3", "urgent": "yes=1"}),
        "a label that nobody has": pb.TaskFilter(labels={"customer": "c-99"}),
        "min create time": pb.TaskFilter(min_create_time=instant(created[40])),
        "max create time": pb.TaskFilter(max_create_time=instant(created[40])),
        "min end time": pb.TaskFilter(min_end_time=instant(ended[10])),
        "max end time": pb.TaskFilter(max_end_time=instant(ended[10])),
        "min attempts": pb.TaskFilter(min_attempts=2),
        "error types": pb.TaskFilter(error_types=[ErrorKind.TYPE_TIMEOUT]),
        "cancelled as an error": pb.TaskFilter(error_types=[ErrorKind.TYPE_CANCELLED]),
        "workers": pb.TaskFilter(workers=["worker-1", "worker-3"]),
        "label, state and worker": pb.TaskFilter(
            labels={"customer": "c-1"}, states=[State.STATE_COMPLETED], workers=["worker-1"]
        ),
        "label, line and create time": pb.TaskFilter(
            labels={"urgent": "yes=1"}, queues=["p"], task_types=["x"],
            min_create_time=instant(created[10]), max_create_time=instant(created[80]),
        ),
    }  # fmt: skip


async def test_every_condition_selects_what_it_says_alone_and_with_others(stack: Stack) -> None:
    tasks = await assorted_tasks(stack.store)
    cases = conditions(tasks)
    chance = random.Random(7)
    for _ in range(25):  # and any of them together
        one, other = chance.sample(sorted(cases), 2)
        both = pb.TaskFilter()
        both.CopyFrom(cases[one])
        both.MergeFrom(cases[other])
        cases[f"{one}, {other}"] = both

    for name, chosen in cases.items():
        expected = [task.id for task in tasks if matches(chosen, task)]
        found = await listed(stack, chosen)
        newest_first = await listed(stack, chosen, order_by="create_time desc", page_size=4)
        assert found == expected, name
        assert newest_first == expected[::-1], name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("a label", 16, id="a label"),
        pytest.param("several labels", 4, id="several labels"),
        pytest.param("min attempts", 3, id="attempts"),
        pytest.param("error types", 9, id="error types"),
        pytest.param("cancelled as an error", 5, id="cancelled"),
        pytest.param("max create time", 40, id="create time"),
        pytest.param("max end time", 10, id="end time"),
    ],
)
async def test_a_condition_selects_as_many_as_there_are(
    stack: Stack, name: str, expected: int
) -> None:
    tasks = await assorted_tasks(stack.store)

    assert len(await listed(stack, conditions(tasks)[name])) == expected


async def test_total_size_is_told_unless_tasks_had_to_be_looked_at(stack: Stack) -> None:
    tasks = await assorted_tasks(stack.store)
    cases = conditions(tasks)
    told = {"queues", "task types", "states", "min create time", "max create time"}

    for name, chosen in cases.items():
        page = await stack.stub.ListTasks(pb.ListTasksRequest(filter=chosen, page_size=2))
        matching = sum(matches(chosen, task) for task in tasks)
        assert page.HasField("total_size") is (name in told), name
        assert not page.HasField("total_size") or page.total_size == matching, name


@pytest.mark.one_partition
async def test_a_bounded_number_of_tasks_is_looked_at_and_the_list_goes_on(stack: Stack) -> None:
    ids = [f"t-{i:04}" for i in range(1200)]
    await enqueue(stack.store, *ids)
    claim = await claim_one(stack.store)  # the oldest
    request = pb.ListTasksRequest(filter=pb.TaskFilter(min_attempts=1))

    found = await pages(stack, request)

    assert [[task.id for task in page.tasks] for page in found] == [[]] * 11 + [[claim.task_id]]


async def test_c12_a_task_that_is_there_all_the_while_is_listed_exactly_once(stack: Stack) -> None:
    store = stack.store
    brief = TaskStore(store.redis, store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME)
    ours = [f"ours-{i:03}" for i in range(60)]
    for i, task_id in enumerate(ours):
        await enqueue(store, new_task(task_id, labels={"for": "us"}, delay=AN_HOUR))
        await enqueue(store, new_task(f"theirs-{i:03}"))
    new = (new_task(f"new-{i}", labels={"for": "us"}) for i in range(1000))
    for order in ("create_time desc", "create_time"):
        request = pb.ListTasksRequest(
            filter=pb.TaskFilter(labels={"for": "us"}), order_by=order, page_size=7
        )
        found = list[str]()
        while True:
            page = await stack.stub.ListTasks(request)
            found += [task.id for task in page.tasks if task.id in ours]
            await enqueue(store, next(new))
            claims = await claim_all(brief, 3)
            await brief.complete([Completion(claim, b"1") for claim in claims])
            await brief.expire()
            await brief.expire()
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert found == (ours if order == "create_time" else ours[::-1])


@pytest.mark.one_partition
async def test_nothing_of_the_labels_is_left_of_a_task_that_expired(stack: Stack) -> None:
    store = stack.store
    brief = TaskStore(store.redis, store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME)
    await enqueue(store, new_task("a", labels={"customer": "ü:=7", "empty": ""}))
    labelled = [key for key in await all_keys(store.redis, store.keys) if "label:" in key]
    await brief.complete([Completion(await claim_one(store), b"1")])

    while await all_keys(store.redis, store.keys) != ["log", "rev"]:
        await brief.expire()

    assert labelled == ["label:customer=ü:=7", "label:empty="]


async def test_the_full_view_has_inputs_tracebacks_and_attempts(stack: Stack) -> None:
    store = stack.store
    await enqueue(store, new_task("a", input=b'{"n": 1}', labels={"k": "v"}))
    await store.fail([Failure(await claim_one(store), BROKEN, None)])
    chosen = pb.TaskFilter(labels={"k": "v"})

    def request(view: task_pb2.TaskView.ValueType) -> pb.ListTasksRequest:
        form = task_pb2.PAYLOAD_FORMAT_JSON_BYTES
        return pb.ListTasksRequest(filter=chosen, view=view, payload_format=form)

    (full,) = (await stack.stub.ListTasks(request(task_pb2.TASK_VIEW_FULL))).tasks
    (basic,) = (await stack.stub.ListTasks(request(task_pb2.TASK_VIEW_BASIC))).tasks

    assert full.input.json_bytes == b'{"n": 1}'
    assert full.error.traceback == full.attempt_history[0].error.traceback != ""
    assert not basic.HasField("input")
    assert not basic.attempt_history
    assert basic.error.traceback == ""


def _labels(request: pb.ListTasksRequest) -> None:
    request.filter.labels["k"] = "w"


def _instant(request: pb.ListTasksRequest) -> None:
    request.filter.min_end_time.FromSeconds(2)


def _workers(request: pb.ListTasksRequest) -> None:
    request.filter.workers.append("w")


def _order(request: pb.ListTasksRequest) -> None:
    request.order_by = "create_time"


@pytest.mark.parametrize("change", [_labels, _instant, _workers, _order])
async def test_a_token_of_another_list_is_refused(
    stack: Stack, change: Callable[[pb.ListTasksRequest], None]
) -> None:
    await enqueue(stack.store, "a", "b")
    request = pb.ListTasksRequest(page_size=1)
    request.page_token = (await stack.stub.ListTasks(request)).next_page_token
    request.page_size = 2
    await stack.stub.ListTasks(request)
    change(request)

    with pytest.raises(grpc.aio.AioRpcError, match="belongs to a list with another filter"):
        await stack.stub.ListTasks(request)


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        pytest.param(pb.TaskFilter(states=[99]), "filter.states", id="state"),  # type: ignore[list-item]
        pytest.param(pb.TaskFilter(error_types=[99]), "filter.error_types", id="error type"),  # type: ignore[list-item]
        pytest.param(pb.TaskFilter(min_attempts=-1), "filter.min_attempts", id="attempts"),
        pytest.param(pb.TaskFilter(labels={"a b": "c"}), "filter.labels", id="label"),
        pytest.param(
            pb.TaskFilter(min_create_time=Timestamp(nanos=-1)), "filter.min_create_time", id="time"
        ),
    ],
)
async def test_a_condition_that_cannot_be_is_refused_by_its_name(
    stack: Stack, chosen: pb.TaskFilter, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stack.stub.ListTasks(pb.ListTasksRequest(filter=chosen))

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (raised.value.details() or "")
