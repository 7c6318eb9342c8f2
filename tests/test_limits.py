"""docs/limits.md says what the code does, about every limit there is."""

import importlib
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from taskline.v1 import admin_service_pb2 as admin_pb
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import errors, limits
from taskline_service.store import TaskStore
from taskline_service.store.values import EnqueueStatus
from tests.stack import Stack
from tests.store.making import claimed, enqueue, new_task

PAGE = Path(__file__).parent.parent / "docs" / "limits.md"
LUA = Path(limits.__file__).parent / "store" / "lua"
ROWS = re.findall(r"^\| (.+?) \| ([\d,]+) (\w+) \| (.+?) \| `(.+?)` \|$", PAGE.read_text(), re.M)

UNITS: dict[str, Any] = {
    "KiB": 1024,
    "MiB": 1024**2,
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "days": timedelta(days=1),
}


def in_the_code(place: str) -> Any:
    """The value of `limits.MAX_BATCH`, or of `_moves.lua LOG_LENGTH`."""
    file, _, constant = place.partition(" ")
    if constant:
        found = re.search(rf"^local {constant} = (\d+)", (LUA / file).read_text(), re.M)
        assert found, place
        return int(found[1])
    module, _, name = place.rpartition(".")
    return getattr(importlib.import_module(f"taskline_service.{module}"), name)


@pytest.mark.parametrize(("what", "number", "unit", "beyond", "place"), ROWS)
def test_a_limit_is_what_its_row_says(
    what: str, number: str, unit: str, beyond: str, place: str
) -> None:
    assert in_the_code(place) == int(number.replace(",", "")) * UNITS.get(unit, 1), what
    reasons = re.findall(r"`([A-Z_]+)`", beyond)
    ours = {kind.reason for kind in vars(errors).values() if hasattr(kind, "reason")}
    assert set(reasons) <= ours | {code.name for code in grpc.StatusCode}


def test_every_limit_has_a_row() -> None:
    page, limit = PAGE.read_text(), re.compile("(MAX|MOST|LONGEST|LARGEST)_")
    assert len(ROWS) == page.count("\n| ") - page.count("\n| What | At most | Beyond it | ")

    named = {f"limits.{name}" for name in vars(limits) if limit.match(name)}
    assert named - {place for *_, place in ROWS} == set()


def a_task(**fields: Any) -> pb.EnqueueRequest:
    return pb.EnqueueRequest(task_type="work", **fields)


def a_list(**conditions: Any) -> pb.ListTasksRequest:
    return pb.ListTasksRequest(filter=pb.TaskFilter(**conditions))


def labels(count: int) -> dict[str, str]:
    return {f"k{i}": "" for i in range(count)}


def nested(levels: int) -> bytes:
    return b'{"v":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


YEAR_S = int(limits.LONGEST_SPAN.total_seconds())

# The largest that is taken, made one larger by the test; and the field that is then named.
EDGES: dict[str, tuple[int, Callable[[int], Message], str]] = {
    "task type": (limits.MAX_NAME, lambda n: pb.GetTaskTypeRequest(name="x" * n), "name"),
    "task id": (limits.MAX_NAME, lambda n: a_task(task_id="x" * n), "task_id"),
    "queue": (limits.MAX_NAME, lambda n: a_task(queue="x" * n), "queue"),
    "request_id": (limits.MAX_REQUEST_ID, lambda n: a_task(request_id="x" * n), "request_id"),
    "label key": (limits.MAX_LABEL_KEY, lambda n: a_task(labels={"x" * n: ""}), "labels"),
    "label value": (limits.MAX_LABEL_VALUE, lambda n: a_task(labels={"k": "x" * n}), "labels"),
    "labels": (limits.MAX_LABELS, lambda n: a_task(labels=labels(n)), "labels"),
    "delay": (YEAR_S, lambda n: a_task(delay=Duration(seconds=n)), "delay"),
    "result_ttl": (YEAR_S, lambda n: a_task(result_ttl=Duration(seconds=n)), "result_ttl"),
    "queue_timeout": (YEAR_S, lambda n: a_task(queue_timeout=Duration(seconds=n)), "queue_timeout"),
    "attempts": (
        limits.MOST_ATTEMPTS,
        lambda n: a_task(retry_policy=task_pb2.RetryPolicy(max_attempts=n)),
        "retry_policy.max_attempts",
    ),
    "batch": (
        limits.MAX_BATCH,
        lambda n: pb.BatchEnqueueRequest(requests=[a_task(validate_only=True)] * n),
        "requests",
    ),
    "nesting": (
        limits.MAX_JSON_DEPTH,
        lambda n: a_task(input=task_pb2.Payload(json_bytes=nested(n))),
        "input",
    ),
    "reason": (
        limits.MAX_REASON,
        lambda n: pb.CancelTaskRequest(task_id="t", reason="x" * n),
        "reason",
    ),
    "queues": (limits.MAX_FILTER_VALUES, lambda n: a_list(queues=["q"] * n), "filter.queues"),
    "types": (
        limits.MAX_FILTER_VALUES,
        lambda n: a_list(task_types=["t"] * n),
        "filter.task_types",
    ),
    "workers": (limits.MAX_FILTER_VALUES, lambda n: a_list(workers=["w"] * n), "filter.workers"),
    "queues of statistics": (
        limits.MAX_STATS_QUEUES,
        lambda n: pb.GetStatsRequest(queues=[f"q{i}" for i in range(n)]),
        "queues",
    ),
    "window": (
        int(limits.LONGEST_STATS_WINDOW.total_seconds()),
        lambda n: pb.GetStatsRequest(window=Duration(seconds=n)),
        "window",
    ),
    "watched tasks": (
        limits.MAX_WATCHED_TASKS,
        lambda n: pb.WatchRequest(task_ids=[f"t{i}" for i in range(n)]),
        "task_ids",
    ),
}


@pytest.mark.parametrize("edge", EDGES)
async def test_one_more_than_the_limit_is_refused_and_the_limit_is_not(
    stack: Stack, edge: str
) -> None:
    @stack.tasks.task("work")
    async def work(v: Any = None) -> None: ...

    most, request_of, field = EDGES[edge]
    method = type(request_of(most)).__name__.removesuffix("Request")

    async def told(request: Message) -> str:
        call = getattr(stack.stub, method)(request)
        try:
            await (call.read() if method == "Watch" else call)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                return str(error.details())
        return ""

    assert await told(request_of(most)) == ""
    assert (await told(request_of(most + 1))).startswith(field)


# In a store


async def test_a_namespace_has_so_many_lines_and_forgets_those_without_tasks(
    store: TaskStore,
) -> None:
    store.max_lines = 3
    await enqueue(store, new_task("a", queue="1"), new_task("b", queue="2"))
    await enqueue(store, new_task("c", task_type="other", queue="1"), new_task("x", queue="1"))

    (refused,) = await store.enqueue([new_task("d", queue="3")])
    (again,) = await store.enqueue([new_task("e", queue="2")])

    assert (refused.status, refused.limit) == (EnqueueStatus.CROWDED, 3)
    assert again.status is EnqueueStatus.CREATED

    for task_id in ("a", "x"):
        (refused,) = await store.check([new_task("d", queue="3")])
        assert refused.status is EnqueueStatus.CROWDED
        await store.cancel(task_id)
        await store.delete(task_id)
    await enqueue(store, new_task("d", queue="3"))


async def test_a_batch_that_would_be_too_many_lines_is_refused_whole(store: TaskStore) -> None:
    store.max_lines = 150

    outcomes = await store.enqueue([new_task(f"t{i}", queue=f"q{i}") for i in range(151)])

    assert outcomes[-1].status is EnqueueStatus.CROWDED
    assert await store.get_many(["t0", "t149"]) == [None, None]


async def test_who_enqueues_on_one_queue_too_many_is_told_so(stack: Stack) -> None:
    @stack.tasks.task("work")
    async def work() -> None: ...

    stack.store.max_lines = 1
    await stack.stub.Enqueue(a_task(queue="a"))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.stub.Enqueue(a_task(queue="b"))

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1 pairs of a task type and a queue" in str(caught.value.details())


async def test_so_many_queues_can_be_paused(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskline_service.store.directory.MAX_PAUSED_QUEUES", 2)
    for queue in ("a", "b", "b"):
        await stack.admin.PauseQueue(admin_pb.PauseQueueRequest(queue=queue))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.admin.PauseQueue(admin_pb.PauseQueueRequest(queue="c"))

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await stack.admin.ResumeQueue(admin_pb.ResumeQueueRequest(queue="a"))
    await stack.admin.PauseQueue(admin_pb.PauseQueueRequest(queue="c"))


async def test_attempts_of_a_task_that_are_told(store: TaskStore) -> None:
    claim = await claimed(store, "t")
    for _ in range(in_the_code("_history.lua ATTEMPTS_KEPT") + 5):
        await store.release([claim])
        (claim,), *_ = await store.claim(["work"], count=1, worker="w", lease=timedelta(minutes=1))

    history = (await store.get("t", full=True)).attempt_history

    assert len(history) == in_the_code("_history.lua ATTEMPTS_KEPT")
    assert history[-1].number == claim.attempt
