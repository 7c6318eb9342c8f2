"""What operators do over a plain stub: queues, single tasks, and all that match."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from taskline.v1 import admin_service_pb2 as pb
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as service
from taskline.v1.admin_service_pb2_grpc import AdminServiceStub
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_service.store import TaskStore, parse_redis_url
from taskline_service.store.values import Completion
from taskline_service.task import TERMINAL_STATES, TaskState
from taskline_service.worker.heartbeat import HEARTBEAT_EVERY_S
from tests.census import all_keys
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.shell import serving
from tests.requirements.wire import State, get_task, states_told, whole_life
from tests.stack import Stack
from tests.store.making import claim_all, claim_one, enqueue, new_task, reach, states

Filter = service.TaskFilter
ENDED = sorted(TERMINAL_STATES)
NOT_ENDED = sorted(set(TaskState) - TERMINAL_STATES)


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    return details_of(error, error_details_pb2.ErrorInfo())


def details_of(error: grpc.aio.AioRpcError, kind: Any) -> Any:
    trailers = dict(error.trailing_metadata() or ())
    for detail in status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details:
        if detail.Unpack(kind):
            return kind
    raise AssertionError(f"no {kind.DESCRIPTOR.name}")


def wrong_fields(error: grpc.aio.AioRpcError) -> list[str]:
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad = details_of(error, error_details_pb2.BadRequest())
    return [violation.field for violation in bad.field_violations]


async def retry(stack: Stack, task_id: str) -> task_pb2.Task:
    return (await stack.admin.RetryTask(pb.RetryTaskRequest(task_id=task_id))).task


async def each_state(store: TaskStore) -> None:
    """A task in each state, with the name of the state as its id."""
    for state in (S for S in TaskState if S is not TaskState.QUEUED):
        await reach(store, state, state)
    await enqueue(store, TaskState.QUEUED.value)


async def test_queues_are_listed_by_name_with_what_is_on_them(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        waiting = await get_task(stack, ids[State.STATE_QUEUED])
        first = await stack.admin.ListQueues(pb.ListQueuesRequest(page_size=1))
        rest = await stack.admin.ListQueues(pb.ListQueuesRequest(page_token=first.next_page_token))
        now = (await stack.admin.GetServerInfo(pb.GetServerInfoRequest())).store_time

    (default,), (elsewhere,) = first.queues, rest.queues
    assert (default.name, elsewhere.name, rest.next_page_token) == ("default", "elsewhere", "")
    # Waiting for their time: one that is scheduled, and one that is retried.
    assert (default.queued_count, default.scheduled_count, default.running_count) == (0, 2, 1)
    assert (elsewhere.queued_count, elsewhere.scheduled_count, elsewhere.running_count) == (1, 0, 0)
    assert default.oldest_age.ToTimedelta() == timedelta(0)
    age = now.ToDatetime() - waiting.schedule_time.ToDatetime()
    assert timedelta(0) < elsewhere.oldest_age.ToTimedelta() <= age
    assert (default.max_queued, default.paused) == (0, False)


# Workers


async def test_workers_are_listed_with_what_they_run_now(stack: Stack) -> None:
    go = asyncio.Event()

    @stack.tasks.task("waits", queue="text")
    async def waits() -> None:
        await go.wait()

    async def listed(**told: Any) -> pb.Worker:
        """The worker, once it is told of like this; sooner than it has to say that it lives."""
        async with asyncio.timeout(HEARTBEAT_EVERY_S - 1):
            while True:
                (worker,) = (await stack.admin.ListWorkers(pb.ListWorkersRequest())).workers
                if all(getattr(worker, name) == value for name, value in told.items()):
                    return worker

    handle = await stack.client.enqueue("waits")
    async with stack.worker(queues=["text"], concurrency=3) as working:
        await stack.until(handle.id, lambda task: task.state == State.STATE_RUNNING)
        busy = await listed(running_task_ids=[handle.id])
        go.set()
        await handle.result()
        idle = await listed(running_task_ids=[])
        go.clear()
        again = await stack.client.enqueue("waits")
        await stack.until(again.id, lambda task: task.state == State.STATE_RUNNING)
        working.stop()
        await listed(draining=True)
        go.set()
        await again.result()

    assert (list(busy.queues), list(busy.task_types), busy.concurrency) == (["text"], ["waits"], 3)
    assert busy.start_time.ToNanoseconds() <= busy.heartbeat_time.ToNanoseconds()
    assert busy.heartbeat_time.ToNanoseconds() < idle.heartbeat_time.ToNanoseconds()
    assert busy.id == idle.id == (await handle.get()).worker


# Queues


async def test_a_paused_queue_takes_tasks_and_hands_them_out_once_it_is_resumed(
    stack: Stack,
) -> None:
    @stack.tasks.task("work", queue="text")
    async def work() -> None:
        pass

    pause = pb.PauseQueueRequest(queue="text")
    first = (await stack.admin.PauseQueue(pause)).queue
    assert (first.name, first.paused, first.queued_count) == ("text", True, 0)
    async with stack.worker():
        handle = await stack.client.enqueue("work")
        await stack.stub.Enqueue(request("b", queue="other"))
        await stack.stub.GetResult(service.GetResultRequest(task_id="b", wait=True))
        again = (await stack.admin.PauseQueue(pause)).queue
        assert (again.paused, again.queued_count) == (True, 1)
        assert again.oldest_age.ToTimedelta() > timedelta(0)

        resumed = (await stack.admin.ResumeQueue(pb.ResumeQueueRequest(queue="text"))).queue
        assert not resumed.paused
        await handle.result()

    listed = (await stack.admin.ListQueues(pb.ListQueuesRequest())).queues
    assert [(queue.name, queue.paused) for queue in listed] == [("other", False), ("text", False)]


async def test_resuming_a_queue_wakes_idle_workers_at_once(stack: Stack) -> None:
    @stack.tasks.task("work", queue="text")
    async def work() -> None:
        pass

    loop = asyncio.get_running_loop()
    async with stack.worker():
        await (await stack.client.enqueue("work")).result()
        times = list[float]()
        for _ in range(5):
            await stack.admin.PauseQueue(pb.PauseQueueRequest(queue="text"))
            handle = await stack.client.enqueue("work")
            resumed = loop.time()
            await stack.admin.ResumeQueue(pb.ResumeQueueRequest(queue="text"))
            await handle.result()
            times.append(loop.time() - resumed)

    assert min(times) < 0.25  # a worker that looks by itself does so every half second


@pytest.mark.parametrize("queue", ["", "*", "a b", "x" * 129])
async def test_what_cannot_be_a_queue_is_neither_paused_nor_resumed(
    stack: Stack, queue: str
) -> None:
    for call in (
        stack.admin.PauseQueue(pb.PauseQueueRequest(queue=queue)),
        stack.admin.ResumeQueue(pb.ResumeQueueRequest(queue=queue)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert wrong_fields(raised.value) == ["queue"]


# Limits


@pytest.fixture
async def small(store: TaskStore, redis_url: str) -> Any:
    """A server whose queues hold two waiting tasks."""
    limited = TaskStore(store.redis, store.keys, max_queued=2)
    async with Stack.running(limited, parse_redis_url(redis_url)) as stack:

        @stack.tasks.task("work")
        async def work() -> None:
            pass

        yield stack


def request(task_id: str, **fields: Any) -> service.EnqueueRequest:
    return service.EnqueueRequest(task_type="work", task_id=task_id, **fields)


@pytest.mark.one_partition
async def test_a_full_queue_is_told_with_its_limit_and_when_to_come_back(small: Stack) -> None:
    await small.stub.Enqueue(request("a"))
    await small.stub.Enqueue(request("b"))

    for validate_only in (False, True):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await small.stub.Enqueue(request("c", validate_only=validate_only))
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        info = info_of(raised.value)
        assert (info.reason, dict(info.metadata)) == (
            "QUEUE_FULL",
            {"queue": "default", "limit": "2"},
        )
        assert details_of(raised.value, error_details_pb2.RetryInfo()).retry_delay.seconds == 1

    await small.stub.Enqueue(request("c", queue="other"))
    listed = (await small.admin.ListQueues(pb.ListQueuesRequest())).queues
    assert [(q.name, q.queued_count, q.max_queued) for q in listed] == [
        ("default", 2, 2),
        ("other", 1, 2),
    ]
    async with small.worker():
        await small.stub.GetResult(service.GetResultRequest(task_id="b", wait=True))
        await small.stub.Enqueue(request("d"))


@pytest.mark.one_partition
async def test_a_batch_that_does_not_fit_is_refused_whole_and_names_the_first_entry(
    small: Stack,
) -> None:
    batch = service.BatchEnqueueRequest(requests=[request(task_id) for task_id in "abcd"])

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await small.stub.BatchEnqueue(batch)

    info = info_of(raised.value)
    assert info.reason == "QUEUE_FULL"
    assert dict(info.metadata) == {"queue": "default", "limit": "2", "index": "2"}
    assert await states(small.store) == {}

    batch.allow_partial = True
    response = await small.stub.BatchEnqueue(batch)
    assert [answer.task.id for answer in response.responses] == ["a", "b", "", ""]
    assert [(f.index, f.code, f.reason) for f in response.failures] == [
        (2, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], "QUEUE_FULL"),
        (3, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], "QUEUE_FULL"),
    ]
    assert dict(response.failures[0].metadata) == {"queue": "default", "limit": "2"}
    assert response.failures[0].retry_delay.seconds == 1, "as with Enqueue"


async def test_a_server_has_the_limit_that_it_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKLINE_MAX_QUEUED", "1")
    async with serving(tmp_path) as address, grpc.aio.insecure_channel(address) as channel:
        await AdminServiceStub(channel).PauseQueue(pb.PauseQueueRequest(queue="held"))
        request = service.EnqueueRequest(task_type="demo.flaky", queue="held")
        await TaskServiceStub(channel).Enqueue(request)

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await TaskServiceStub(channel).Enqueue(request)

    assert dict(info_of(raised.value).metadata) == {"queue": "held", "limit": "1"}


# Single tasks


async def test_a_failed_task_is_retried_with_a_fresh_budget_and_its_history(stack: Stack) -> None:
    broken = True

    @stack.tasks.task("work", max_attempts=2, initial_backoff=timedelta(milliseconds=1))
    async def work() -> str:
        if broken:
            raise ValueError("no good")
        return "done"

    async with stack.worker():
        task = (await stack.stub.Enqueue(request("a"))).task
        before = await whole_life(stack, "a", task.resume_token)
        failed = await get_task(stack, "a")
        assert (failed.state, failed.attempts) == (State.STATE_FAILED, 2)
        broken = False

        retried = await retry(stack, "a")
        after = await whole_life(stack, "a", retried.resume_token)

    ended = await get_task(stack, "a")
    assert (ended.state, ended.attempts, ended.uid) == (State.STATE_COMPLETED, 3, failed.uid)
    assert [attempt.number for attempt in ended.attempt_history] == [1, 2, 3]
    assert list(ended.attempt_history[:2]) == list(failed.attempt_history)
    assert states_told(after)[-1:] == [State.STATE_COMPLETED]
    assert after[0].sequence > before[-1].sequence


async def test_the_answer_to_a_retry_shows_a_waiting_task_without_its_end(stack: Stack) -> None:
    await reach(stack.store, TaskState.COMPLETED, "a")

    task = await retry(stack, "a")

    assert task.state == State.STATE_QUEUED
    for name in ("error", "end_time", "result_expire_time", "expire_time", "cancel_request_time"):
        assert not task.HasField(name)
    assert (task.result_size, task.attempts) == (0, 1)
    result = await stack.stub.GetResult(service.GetResultRequest(task_id="a"))
    assert result.WhichOneof("outcome") is None


@pytest.mark.parametrize("state", NOT_ENDED)
async def test_a_task_that_has_not_ended_is_neither_retried_nor_deleted(
    stack: Stack, state: TaskState
) -> None:
    await reach(stack.store, state, "a")

    for call in (
        stack.admin.RetryTask(pb.RetryTaskRequest(task_id="a")),
        stack.admin.DeleteTask(pb.DeleteTaskRequest(task_id="a")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        info = info_of(raised.value)
        assert info.reason == "TASK_NOT_TERMINAL"
        assert dict(info.metadata) == {"task_id": "a", "state": state}


@pytest.mark.parametrize(("task_id", "code"), [("nobody", "NOT_FOUND"), ("", "INVALID_ARGUMENT")])
async def test_a_task_that_there_is_not_is_neither_retried_nor_deleted(
    stack: Stack, task_id: str, code: str
) -> None:
    for call in (
        stack.admin.RetryTask(pb.RetryTaskRequest(task_id=task_id)),
        stack.admin.DeleteTask(pb.DeleteTaskRequest(task_id=task_id)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code().name == code


@pytest.mark.parametrize("state", ENDED)
async def test_a_deleted_task_is_unknown(stack: Stack, state: TaskState) -> None:
    await reach(stack.store, state, "a")

    await stack.admin.DeleteTask(pb.DeleteTaskRequest(task_id="a"))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await get_task(stack, "a")
    assert info_of(raised.value).reason == "TASK_NOT_FOUND"
    assert not [
        key for key in await all_keys(stack.store.redis, stack.store.keys) if key[2:] == "a"
    ]


# Watching what is retried


@pytest.mark.one_partition
async def test_a_watch_says_nothing_more_of_a_task_that_ended_and_is_retried(
    stack: Stack,
) -> None:
    claim = await reach(stack.store, TaskState.FAILED, "a")
    await enqueue(stack.store, new_task("b", queue="later"))
    assert claim is not None

    both, told = service.WatchRequest(task_ids=["a", "b"]), list[task_pb2.TaskEvent]()
    async for event in stack.stub.Watch(both):
        told.append(event)
        if len(told) == 3:  # snapshot and end of a, snapshot of b
            await retry(stack, "a")
            (again,) = await claim_all(stack.store, queues=["default"])
            await stack.store.complete([Completion(again, b"1")])
            await stack.store.cancel("b")
    both.resume_token = told[2].resume_token
    rest = [event async for event in stack.stub.Watch(both)]

    assert [(e.task_id, e.WhichOneof("event")) for e in told] == [
        *(("a", "snapshot"), ("a", "ended"), ("b", "snapshot"), ("b", "ended"))
    ]
    assert [(e.task_id, e.WhichOneof("event")) for e in rest] == [("b", "ended")]


async def test_a_watch_that_was_cut_off_before_the_end_is_told_of_it_once(stack: Stack) -> None:
    await enqueue(stack.store, "a")
    token = (await get_task(stack, "a")).resume_token
    claim = await claim_one(stack.store)
    await stack.store.complete([Completion(claim, b"1")])
    retried = await retry(stack, "a")
    await stack.store.complete([Completion(await claim_one(stack.store), b"2")])

    first = await whole_life(stack, "a", token)
    second = await whole_life(stack, "a", retried.resume_token)
    whole = await whole_life(stack, "a")

    ran = [State.STATE_RUNNING, State.STATE_COMPLETED]
    assert states_told(first) == states_told(second) == ran
    assert first[-1].ended.attempts == 1
    assert second[-1].ended.attempts == 2
    assert [e.WhichOneof("event") for e in whole] == ["snapshot", "ended"]


# All that match

Bulk = Callable[[Stack, Filter, bool], Awaitable[int]]


async def cancel_tasks(stack: Stack, chosen: Filter, validate_only: bool = False) -> int:
    request = pb.CancelTasksRequest(filter=chosen, validate_only=validate_only)
    return (await stack.admin.CancelTasks(request)).count


async def retry_tasks(stack: Stack, chosen: Filter, validate_only: bool = False) -> int:
    request = pb.RetryTasksRequest(filter=chosen, validate_only=validate_only)
    return (await stack.admin.RetryTasks(request)).count


async def delete_tasks(stack: Stack, chosen: Filter, validate_only: bool = False) -> int:
    request = pb.DeleteTasksRequest(filter=chosen, validate_only=validate_only)
    return (await stack.admin.DeleteTasks(request)).count


EVERY_BULK = pytest.mark.parametrize("bulk", [cancel_tasks, retry_tasks, delete_tasks])


async def test_every_task_that_has_not_ended_is_cancelled(stack: Stack) -> None:
    await each_state(stack.store)

    count = await cancel_tasks(stack, Filter())

    assert count == 4
    after = await states(stack.store)
    assert after.pop("RUNNING") is TaskState.RUNNING  # told to stop
    assert (await get_task(stack, "RUNNING")).HasField("cancel_request_time")
    ended = ("COMPLETED", "FAILED")
    assert after == {s: TaskState(s if s in ended else "CANCELLED") for s in after}
    assert await cancel_tasks(stack, Filter()) == 0


async def test_the_reason_of_a_cancellation_is_with_every_task(stack: Stack) -> None:
    await enqueue(stack.store, "a", "b")

    request = pb.CancelTasksRequest(filter=Filter(), reason="the data was wrong")
    assert (await stack.admin.CancelTasks(request)).count == 2

    assert {(await get_task(stack, i)).error.message for i in "ab"} == {"the data was wrong"}
    request.reason = "x" * 501
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stack.admin.CancelTasks(request)
    assert wrong_fields(raised.value) == ["reason"]


async def test_failed_tasks_are_retried_and_others_that_ended_only_if_they_are_named(
    stack: Stack,
) -> None:
    await each_state(stack.store)
    before = await states(stack.store)

    assert await retry_tasks(stack, Filter()) == 1
    assert await states(stack.store) == before | {"FAILED": TaskState.QUEUED}
    named = Filter(states=[State.STATE_COMPLETED, State.STATE_CANCELLED, State.STATE_RUNNING])
    assert await retry_tasks(stack, named) == 2

    queued = {state: TaskState.QUEUED for state in ("FAILED", "COMPLETED", "CANCELLED")}
    assert await states(stack.store) == before | queued


async def test_every_task_that_ended_is_deleted(stack: Stack) -> None:
    await each_state(stack.store)

    assert await delete_tasks(stack, Filter(states=[State.STATE_FAILED])) == 1
    assert await delete_tasks(stack, Filter()) == 2

    assert set(await states(stack.store)) == set(NOT_ENDED)


@EVERY_BULK
async def test_validating_counts_and_changes_nothing(stack: Stack, bulk: Bulk) -> None:
    await each_state(stack.store)
    before = await states(stack.store)

    count = await bulk(stack, Filter(), True)

    assert await states(stack.store) == before
    assert count == await bulk(stack, Filter(), False) > 0
    assert await bulk(stack, Filter(), True) == 0


@EVERY_BULK
async def test_more_than_a_step_is_worked_off(stack: Stack, bulk: Bulk) -> None:
    ids = [f"t-{i}" for i in range(350)]
    await enqueue(stack.store, *(new_task(i, labels={"odd": str(int(i[2:]) % 2)}) for i in ids))
    if bulk is not cancel_tasks:
        await stack.store.cancel_many(ids, states=[TaskState.QUEUED])
    odd = Filter(labels={"odd": "1"})
    if bulk is retry_tasks:
        odd.states.append(State.STATE_CANCELLED)

    assert await bulk(stack, odd, True) == 175
    assert await bulk(stack, odd, False) == 175
    assert await bulk(stack, odd, False) == 0


@EVERY_BULK
async def test_states_in_which_it_cannot_be_done_match_nothing(stack: Stack, bulk: Bulk) -> None:
    await each_state(stack.store)
    before = await states(stack.store)
    possible = NOT_ENDED if bulk is cancel_tasks else ENDED
    impossible = [State.Value(f"STATE_{s.value}") for s in TaskState if s not in possible]

    assert await bulk(stack, Filter(states=impossible), False) == 0

    assert await states(stack.store) == before


def time(us: int) -> Timestamp:
    return Timestamp(seconds=us // 1_000_000, nanos=us % 1_000_000 * 1000)


@pytest.mark.one_partition
async def test_a_filter_selects_by_all_of_its_conditions(stack: Stack) -> None:
    store = stack.store
    await enqueue(store, new_task("early"))
    edge = await store.get("early")
    await enqueue(
        store,
        new_task("a", queue="x", labels={"k": "v", "l": "w"}),
        new_task("b", queue="y", task_type="other", labels={"k": "v"}),
        new_task("c", queue="x", labels={"k": "other"}),
    )
    late = await store.get("c")

    cases = {
        "ac": Filter(queues=["x"]),
        "b": Filter(task_types=["other", "unknown"]),
        "ab": Filter(labels={"k": "v"}),
        "a": Filter(labels={"k": "v", "l": "w"}),
        "abc": Filter(min_create_time=time(edge.create_us + 1)),
        "early": Filter(max_create_time=time(edge.create_us + 1)),
        "earlyab": Filter(max_create_time=time(late.create_us)),
        "c": Filter(queues=["x"], min_create_time=time(late.create_us)),
        "": Filter(queues=["x"], task_types=["other"]),
    }
    for ids, chosen in cases.items():
        expected = len(ids.replace("early", "e"))
        assert await cancel_tasks(stack, chosen, True) == expected, ids


async def test_tasks_that_ended_are_selected_by_how_and_when(stack: Stack) -> None:
    store = stack.store
    claim = await reach(store, TaskState.FAILED, "failed")
    assert claim is not None
    await reach(store, TaskState.CANCELLED, "cancelled")
    await enqueue(store, "never started")
    await store.cancel("never started")
    ends = sorted([(await store.get(i)).end_us for i in ("failed", "cancelled", "never started")])

    cases = [
        (Filter(error_types=[task_pb2.TaskError.TYPE_RUNTIME]), 1),
        (Filter(error_types=[task_pb2.TaskError.TYPE_CANCELLED]), 2),
        (Filter(error_types=[task_pb2.TaskError.TYPE_TIMEOUT]), 0),
        (Filter(workers=["worker-1"]), 2),
        (Filter(workers=["worker-2"]), 0),
        (Filter(min_attempts=1), 2),
        (Filter(min_attempts=2), 0),
        (Filter(min_end_time=time(ends[1])), 2),
        (Filter(max_end_time=time(ends[1])), 1),
        (Filter(min_end_time=time(ends[0]), max_end_time=time(ends[2])), 2),
    ]
    for chosen, count in cases:
        assert await delete_tasks(stack, chosen, True) == count, chosen


@EVERY_BULK
async def test_a_filter_that_cannot_be_meant_is_refused(stack: Stack, bulk: Bulk) -> None:
    wrong = Filter(
        states=[77],  # type: ignore[list-item]
        error_types=[77],  # type: ignore[list-item]
        min_attempts=-1,
        min_end_time=Timestamp(seconds=2**62),
    )

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await bulk(stack, wrong, False)

    assert wrong_fields(raised.value) == [
        *("filter.states", "filter.error_types", "filter.min_attempts", "filter.min_end_time")
    ]


async def test_it_has_to_be_said_that_every_task_is_meant(stack: Stack) -> None:
    await each_state(stack.store)
    before = await states(stack.store)

    for call in (
        stack.admin.CancelTasks(pb.CancelTasksRequest()),
        stack.admin.RetryTasks(pb.RetryTasksRequest()),
        stack.admin.DeleteTasks(pb.DeleteTasksRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert wrong_fields(raised.value) == ["filter"]

    assert await states(stack.store) == before
