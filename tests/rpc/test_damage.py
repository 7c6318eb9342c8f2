"""A damaged record, as callers see it: named where it is asked for, passed over everywhere else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.fsck import repair_store
from tests.stack import Stack
from tests.store.making import AN_HOUR, enqueue, new_task

pytestmark = [pytest.mark.damages_store, pytest.mark.one_partition]

Call = Callable[[Stack], Awaitable[Any]]

ABOUT_ONE_TASK: dict[str, Call] = {
    "GetTask": lambda s: s.stub.GetTask(pb.GetTaskRequest(task_id="bad")),
    "GetResult": lambda s: s.stub.GetResult(pb.GetResultRequest(task_id="bad")),
    "Watch": lambda s: s.stub.Watch(pb.WatchRequest(task_ids=["bad"])).read(),
    "ListTaskEvents": lambda s: s.stub.ListTaskEvents(pb.ListTaskEventsRequest(task_id="bad")),
    "CancelTask": lambda s: s.stub.CancelTask(pb.CancelTaskRequest(task_id="bad")),
    "RetryTask": lambda s: s.admin.RetryTask(admin.RetryTaskRequest(task_id="bad")),
    "DeleteTask": lambda s: s.admin.DeleteTask(admin.DeleteTaskRequest(task_id="bad")),
    "Enqueue": lambda s: s.stub.Enqueue(pb.EnqueueRequest(task_type="work", task_id="bad")),
}


@pytest.fixture
async def damaged(stack: Stack) -> Stack:
    """A service with the tasks "a", "bad" and "b", of which one cannot be understood."""

    @stack.tasks.task("work")
    async def work() -> str:
        return "done"

    for task_id in ("a", "bad", "b"):
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="work", task_id=task_id))
    await stack.store.redis.call("HSET", stack.store.keys.prefix + b"t:bad", "st", "SLEEPING")
    return stack


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    status = status_pb2.Status()
    status.ParseFromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return info


@pytest.mark.parametrize("call", ABOUT_ONE_TASK.values(), ids=ABOUT_ONE_TASK.keys())
async def test_a_call_about_a_damaged_task_says_that_it_is_damaged(
    damaged: Stack, call: Call
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(damaged)

    info = error_info(refused.value)
    assert refused.value.code() is grpc.StatusCode.DATA_LOSS
    assert (info.reason, info.metadata["task_id"]) == ("TASK_DAMAGED", "bad")


async def test_the_other_tasks_are_executed_listed_and_watched(damaged: Stack) -> None:
    watched = damaged.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter(queues=["default"])))
    await watched.initial_metadata()

    async with damaged.worker():
        for task_id in ("a", "b"):
            wait = pb.GetResultRequest(task_id=task_id, wait=True)
            assert (await damaged.stub.GetResult(wait)).HasField("result")

    listed = await damaged.stub.ListTasks(pb.ListTasksRequest())
    ended = set[str]()
    while ended != {"a", "b"}:
        event = await watched.read()
        assert isinstance(event, task_pb2.TaskEvent)
        if event.HasField("ended"):
            ended.add(event.task_id)
    watched.cancel()
    assert [task.id for task in listed.tasks] == ["b", "a"]


async def test_bulk_operations_pass_over_it(damaged: Stack) -> None:
    cancelled = await damaged.admin.CancelTasks(admin.CancelTasksRequest(filter=pb.TaskFilter()))

    assert cancelled.count == 2


READS: dict[str, Call] = {
    "GetTask": lambda s: s.stub.GetTask(pb.GetTaskRequest(task_id="a")),
    "GetResult": lambda s: s.stub.GetResult(pb.GetResultRequest(task_id="a")),
    "ListTasks": lambda s: s.stub.ListTasks(pb.ListTasksRequest()),
    "ListTasks by label": lambda s: s.stub.ListTasks(
        pb.ListTasksRequest(filter=pb.TaskFilter(labels={"team": "one"}))
    ),
    "ListTaskEvents": lambda s: s.stub.ListTaskEvents(pb.ListTaskEventsRequest(task_id="a")),
    "ListTaskTypes": lambda s: s.stub.ListTaskTypes(pb.ListTaskTypesRequest()),
    "GetStats": lambda s: s.stub.GetStats(pb.GetStatsRequest()),
    "ListQueues": lambda s: s.admin.ListQueues(admin.ListQueuesRequest()),
    "ListWorkers": lambda s: s.admin.ListWorkers(admin.ListWorkersRequest()),
    "PauseQueue": lambda s: s.admin.PauseQueue(admin.PauseQueueRequest(queue="q")),
    "ResumeQueue": lambda s: s.admin.ResumeQueue(admin.ResumeQueueRequest(queue="q")),
}
# By key: how it is damaged, and the calls that cannot do without it.
SHARED: dict[str, tuple[str, set[str]]] = {
    "lines": (
        "SET x",
        {"ListTasks", "GetStats", "ListQueues", "PauseQueue", "ResumeQueue"},
    ),
    "rev": (
        "HSET f x",
        {"GetTask", "GetResult", "ListTasks", "ListTasks by label", "ListTaskEvents"},
    ),
    "i:QUEUED:work:default": ("SET x", {"ListTasks", "GetStats", "ListQueues"}),
    "q:work:default": ("SET x", {"ListQueues"}),
    "label:team=one": ("SET x", {"ListTasks by label"}),
    "failed_by": ("SET x", {"GetStats"}),
    "paused": ("SET x", {"ListQueues", "PauseQueue", "ResumeQueue"}),
    "ready": ("SET x", {"PauseQueue", "ResumeQueue"}),
    "workers": ("SET x", {"ListWorkers"}),
    "types": ("SET x", {"ListTaskTypes"}),
    "h:a": ("SET x", {"ListTaskEvents"}),
}
UNREADABLE: dict[str, tuple[str, set[str]]] = {
    "rev": ("SET x", SHARED["rev"][1]),
    "failed_by": ("HSET runtime:default many", {"GetStats"}),
}


@pytest.mark.parametrize(
    ("key", "damaging", "hit"),
    [
        *((key, *of) for key, of in SHARED.items()),
        *((key, *of) for key, of in UNREADABLE.items()),
    ],
)
async def test_a_read_that_meets_a_damaged_key_names_it_and_the_others_go_on(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, key: str, damaging: str, hit: set[str]
) -> None:
    monkeypatch.setattr("taskline_service.rpc.catalog._LOOK_AGAIN_S", 0)

    @stack.tasks.task("work")
    async def work() -> None:
        """Nothing."""

    request = pb.EnqueueRequest(task_type="work", task_id="a", labels={"team": "one"})
    await stack.stub.Enqueue(request)
    prefix = stack.store.keys.prefix.decode()
    command, *rest = damaging.split()
    await stack.store.redis.call(b"DEL", prefix + key)
    await stack.store.redis.call(command, prefix + key, *rest)

    refused = dict[str, tuple[grpc.StatusCode, str, str]]()
    for name, call in READS.items():
        try:
            await call(stack)
        except grpc.aio.AioRpcError as error:
            info = error_info(error)
            refused[name] = (error.code(), info.reason, info.metadata["key"])

    damaged = (grpc.StatusCode.DATA_LOSS, "TASK_DAMAGED", prefix + key)
    assert refused == dict.fromkeys(hit, damaged)


async def test_who_waits_for_it_is_told_when_it_is_set_apart_and_other_watches_go_on(
    stack: Stack,
) -> None:
    @stack.tasks.task("work")
    async def work() -> str:
        return "done"

    for task_id in ("a", "bad"):
        await stack.stub.Enqueue(pb.EnqueueRequest(task_type="work", task_id=task_id))
    watch = stack.stub.Watch(pb.WatchRequest(task_ids=["a", "bad"]))
    await watch.read(), await watch.read()
    waiting = stack.stub.GetResult(pb.GetResultRequest(task_id="bad", wait=True))
    of_all = stack.stub.Watch(pb.WatchRequest(filter=pb.TaskFilter()))
    await of_all.initial_metadata()
    redis, keys = stack.store.redis, stack.store.keys
    await redis.call("HSET", keys.prefix + b"t:bad", "st", "SLEEPING")

    assert (await repair_store(redis, keys)).report.clean

    for call in (waiting, watch.read()):
        with pytest.raises(grpc.aio.AioRpcError) as told:
            async with asyncio.timeout(10):
                await call
        assert told.value.code() is grpc.StatusCode.DATA_LOSS
    async with stack.worker():
        event = task_pb2.TaskEvent()
        while not event.HasField("ended"):
            event = cast(task_pb2.TaskEvent, await of_all.read())
            assert event.HasField("heartbeat") or event.task_id == "a"
    of_all.cancel()


async def test_what_a_worker_passes_over_is_counted_and_told_once(
    damaged: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async with damaged.worker():
        await damaged.stub.GetResult(pb.GetResultRequest(task_id="b", wait=True))

    told = [record.message for record in caplog.records if "task bad" in record.message]
    assert damaged.store.damage.count == len(told) == 1


async def test_what_upkeep_passes_over_is_counted_and_told_once(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    await enqueue(stack.store, new_task("bad", delay=AN_HOUR))
    prefix = stack.store.keys.prefix
    await stack.store.redis.call("HSET", prefix + b"t:bad", "st", "SLEEPING")
    await stack.store.redis.call("ZADD", prefix + b"due", "1", "bad")

    async with asyncio.timeout(10):
        while not stack.store.damage.count:  # noqa: ASYNC110 - upkeep looks by itself
            await asyncio.sleep(0.01)

    told = [record.message for record in caplog.records if "task bad" in record.message]
    assert len(told) == 1 and "it was due" in told[0]
