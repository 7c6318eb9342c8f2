"""C1, C2, C4, C7, C10, C11, A7, A40, D48: one rule where systems of this kind differ."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskContext
from taskline_service.store import Keys, TaskStore, parse_redis_url
from taskline_service.task import TaskState
from tests.census import remove_keys
from tests.requirements.wire import State, enqueue, get_result, get_task, listed, result_within
from tests.stack import Stack

ROOT = Path(__file__).parents[2]
SOON = timedelta(milliseconds=1)


def test_c1_other_words_for_the_states_are_told() -> None:
    page = (ROOT / "docs" / "retries-and-failures.md").read_text("utf-8")
    _, _, table = page.partition("| here | in other systems |")
    rows = [line for line in table.split("\n\n")[0].splitlines() if line.startswith("| ")]

    told = {state for state in TaskState for row in rows if state.value in row.split("|")[1]}
    others = {word.strip() for row in rows for word in row.split("|")[2].split(",")}
    assert told == set(TaskState)
    assert others >= {"PENDING", "SUCCESS", "COMPLETE", "FAILURE", "ERROR", "CANCELED", "REVOKED"}
    assert not others & set(TaskState)


async def test_c2_an_answer_has_the_task_and_beside_it_the_value_as_it_is(stack: Stack) -> None:
    @stack.tasks.task("wraps")
    async def wraps() -> dict[str, str]:
        return {"status": "COMPLETED", "result": "of its own"}

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "wraps")).id)

    assert [field.name for field, _ in answer.ListFields()] == ["task", "result"]
    assert dict(answer.result.json.struct_value.items()) == {
        "status": "COMPLETED",
        "result": "of its own",
    }


async def test_c4_a_call_looks_and_the_client_waits_unless_told_otherwise(stack: Stack) -> None:
    @stack.tasks.task("answer")
    async def answer() -> int:
        return 42

    task = await enqueue(stack, "answer")
    looked = await get_result(stack, task.id)
    waiting = asyncio.create_task(stack.client.handle(task.id).result())
    async with stack.worker():
        waited = await waiting

    assert (looked.task.state, looked.wait_timed_out) == (State.STATE_QUEUED, False)
    assert waited == 42


async def test_c7_progress_and_log_are_kept_as_long_as_the_record(stack: Stack) -> None:
    @stack.tasks.task("tells")
    async def tells(ctx: TaskContext) -> int:
        await ctx.log("half", percentage=50)
        return 1

    request = service.EnqueueRequest(task_type="tells", result_ttl=Duration())
    async with stack.worker():
        task = (await stack.stub.Enqueue(request)).task
        ended = await stack.until(task.id, lambda seen: seen.state == State.STATE_COMPLETED)
        while await _has_result(stack, task.id):
            pass
    story = await stack.stub.ListTaskEvents(service.ListTaskEventsRequest(task_id=task.id))

    assert (await get_task(stack, task.id)).progress.percentage == 50
    assert [event.log.message for event in story.events if event.HasField("log")] == ["half"]
    kept = ended.expire_time.ToDatetime() - ended.end_time.ToDatetime()
    assert kept == timedelta(days=7)


async def _has_result(stack: Stack, task_id: str) -> bool:
    key = stack.store.keys.prefix + b"t:" + task_id.encode()
    return bool(await stack.store.redis.call(b"HEXISTS", key, b"rv"))


@pytest.mark.parametrize(
    ("attempts", "state"),
    [
        pytest.param(1, State.STATE_FAILED, id="no attempt left"),
        pytest.param(2, State.STATE_COMPLETED, id="one more"),
    ],
)
async def test_c11_an_attempt_that_took_too_long_is_repeated_as_the_policy_says(
    stack: Stack, attempts: int, state: State.ValueType
) -> None:
    @stack.tasks.task("slow.at.first", timeout=timedelta(milliseconds=200), initial_backoff=SOON)
    async def slow_at_first(ctx: TaskContext) -> None:
        if ctx.attempt == 1:
            await asyncio.Event().wait()

    request = service.EnqueueRequest(
        task_type="slow.at.first", retry_policy=pb.RetryPolicy(max_attempts=attempts)
    )
    async with stack.worker():
        task = (await stack.stub.Enqueue(request)).task
        answer = await result_within(stack, task.id)
    first = (await get_task(stack, task.id)).attempt_history[0].error

    assert (answer.task.state, answer.task.attempts) == (state, attempts)
    assert (first.error_type, first.is_retryable) == (pb.TaskError.TYPE_TIMEOUT, True)


async def test_a7_c10_a_shutdown_gives_tasks_back_and_costs_no_attempt(stack: Stack) -> None:
    @stack.tasks.task("held", max_attempts=1)
    async def held(ctx: TaskContext) -> int:
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return ctx.attempt

    async with stack.worker():
        task = await enqueue(stack, "held")
        await stack.until(task.id, lambda seen: seen.state == State.STATE_RUNNING)
    between = await get_task(stack, task.id)
    async with stack.worker():
        answer = await result_within(stack, task.id)

    assert between.state == State.STATE_QUEUED
    assert (answer.task.state, answer.task.attempts) == (State.STATE_COMPLETED, 2)


async def test_a40_several_workers_run_tasks_side_by_side(stack: Stack) -> None:
    together = asyncio.Barrier(3)

    @stack.tasks.task("meets")
    async def meets(ctx: TaskContext) -> str:
        async with together:  # passes when three are there at once
            return ctx.worker

    tasks = [await enqueue(stack, "meets") for _ in range(3)]
    async with (
        stack.worker(concurrency=1),
        stack.worker(concurrency=1),
        stack.worker(concurrency=1),
    ):
        answers = [await result_within(stack, task.id) for task in tasks]

    assert len({answer.result.json.string_value for answer in answers}) == 3


async def test_d48_namespaces_of_one_store_know_nothing_of_each_other(
    stack: Stack, redis_url: str
) -> None:
    keys = Keys(f"{stack.store.keys.namespace}-other")
    other_store = TaskStore(stack.store.redis, keys)
    async with Stack.running(other_store, parse_redis_url(redis_url)) as other:
        for one in (stack, other):
            one.tasks.task("whose")(lambda: None)
            request = service.EnqueueRequest(task_type="whose", task_id="t", queue="q")
            await one.stub.Enqueue(request)
        async with other.worker():
            theirs = await result_within(other, "t")
        ours = await get_task(stack, "t")
        lists = [await listed(one) for one in (stack, other)]

    assert (ours.state, theirs.task.state) == (State.STATE_QUEUED, State.STATE_COMPLETED)
    assert [[task.uid for task in found] for found in lists] == [[ours.uid], [theirs.task.uid]]
    await remove_keys(stack.store.redis, keys)
