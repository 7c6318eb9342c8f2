"""O1, O2, O4, O5, O13, O19-O24, O33: the result of a task, and its error."""

import asyncio
import json
import sys
from datetime import timedelta
from typing import Any

import grpc
import pytest

from taskline.v1 import task_pb2 as pb
from taskline_client import ErrorType, TaskFailed
from taskline_service import TaskContext
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.wire import (
    State,
    enqueue,
    get_result,
    get_task,
    listed,
    result_within,
)
from tests.stack import Stack

_ANOTHER_PROGRAM = """
import asyncio, json, sys
from taskline_client import TaskClient, TaskFailed

async def main(address, good, bad):
    async with TaskClient(address) as client:
        try:
            await client.handle(bad).result()
        except TaskFailed as failed:
            message = failed.error.message
        print(json.dumps([await client.handle(good).result(), message]))

asyncio.run(main(*sys.argv[1:]))
"""


def terminal(task: pb.Task) -> bool:
    return task.state in (State.STATE_COMPLETED, State.STATE_FAILED, State.STATE_CANCELLED)


async def test_o1_enqueue_gives_a_new_id_without_waiting_for_execution(stack: Stack) -> None:
    @stack.tasks.task("never.run")
    async def never_run() -> None: ...

    first, second = [await enqueue(stack, "never.run") for _ in range(2)]

    assert first.id and second.id and first.id != second.id
    assert (first.state, first.attempts) == (State.STATE_QUEUED, 0)


async def test_o2_another_process_reads_value_and_error(stack: Stack) -> None:
    @stack.tasks.task("divide", max_attempts=1)
    def divide(dividend: int, divisor: int) -> int:
        return dividend // divisor

    async with stack.worker():
        good = await enqueue(stack, "divide", dividend=42, divisor=6)
        bad = await enqueue(stack, "divide", dividend=1, divisor=0)
        await stack.until(good.id, terminal)
        await stack.until(bad.id, terminal)
    command = (sys.executable, "-c", _ANOTHER_PROGRAM, stack.address, good.id, bad.id)
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await program.communicate()

    value, message = json.loads(output)
    assert value == 7
    assert "by zero" in message


async def test_o4_o5_get_result_without_wait_answers_at_once_in_every_state(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        async with asyncio.timeout(5):
            answers = {state: await get_result(stack, task_id) for state, task_id in ids.items()}

    told = {state: answer.WhichOneof("outcome") for state, answer in answers.items()}
    assert told == {
        State.STATE_SCHEDULED: None,
        State.STATE_QUEUED: None,
        State.STATE_RUNNING: None,
        State.STATE_RETRYING: None,
        State.STATE_COMPLETED: "result",
        State.STATE_FAILED: "error",
        State.STATE_CANCELLED: "error",
    }
    assert all(answer.task.state == state for state, answer in answers.items())
    assert not any(answer.wait_timed_out for answer in answers.values())
    # Nothing returned is a result as well, and not the same as no result yet.
    null = answers[State.STATE_COMPLETED].result
    assert null.json.WhichOneof("kind") == "null_value"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Grüße, 世界 🎈", id="string"),
        pytest.param(0.1, id="number"),
        pytest.param(2**63 - 1, id="64 bits"),
        pytest.param(-(2**63), id="64 bits below zero"),
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param([1, [2, [], [None]]], id="nested list"),
        pytest.param({"a": {"b": [1.5, None]}, "": {}}, id="object"),
        pytest.param(None, id="null"),
    ],
)
async def test_o13_any_json_value_survives_the_round_trip(stack: Stack, value: Any) -> None:
    @stack.tasks.task("echo")
    async def echo(value: Any, /) -> Any:
        return value

    async with stack.worker():
        handle = await stack.client.enqueue("echo", value)
        returned = await handle.result()

    assert returned == value
    assert type(returned) is type(value)
    assert await stack.state(handle.id) == State.STATE_COMPLETED


async def test_o19_an_error_is_set_only_after_a_failure(stack: Stack) -> None:
    @stack.tasks.task("second.try", initial_backoff=timedelta(milliseconds=1))
    async def second_try(ctx: TaskContext) -> None:
        if ctx.attempt == 1:
            raise ConnectionError("not yet")

    async with one_task_in_each_state(stack):
        tasks = await listed(stack)
        recovered = await result_within(stack, (await enqueue(stack, "second.try")).id)

    failed = {State.STATE_RETRYING, State.STATE_FAILED, State.STATE_CANCELLED}
    assert {task.state for task in tasks if task.HasField("error")} == failed
    assert (recovered.task.attempts, recovered.task.HasField("error")) == (2, False)


async def test_o20_c6_the_kind_of_an_error_is_a_stable_word(stack: Stack) -> None:
    on_the_wire = {name for name, number in pb.TaskError.Type.items() if number}
    assert {f"TYPE_{kind.name}" for kind in ErrorType} == on_the_wire
    assert all(str(kind) == kind.name.lower() for kind in ErrorType)

    async with one_task_in_each_state(stack) as ids:
        error = (await get_result(stack, ids[State.STATE_FAILED])).error
        with pytest.raises(TaskFailed) as failed:
            await stack.client.handle(ids[State.STATE_FAILED]).result()

    assert error.error_type == pb.TaskError.TYPE_RUNTIME
    assert failed.value.error.error_type == "runtime"


async def test_o21_o22_an_error_has_a_message_and_its_traceback(stack: Stack) -> None:
    @stack.tasks.task("silent", max_attempts=1)
    async def silent() -> None:
        raise ValueError

    async with stack.worker():
        error = (await result_within(stack, (await enqueue(stack, "silent")).id)).error

    assert error.message == "ValueError"  # it said nothing itself
    assert error.traceback.startswith("Traceback (most recent call last):")
    assert "in silent\n    raise ValueError" in error.traceback


async def test_o22_where_there_is_no_traceback_there_is_none(stack: Stack) -> None:
    @stack.tasks.task("endless", max_attempts=1, timeout=timedelta(milliseconds=20))
    async def endless() -> None:
        await asyncio.Event().wait()

    async with stack.worker():
        error = (await result_within(stack, (await enqueue(stack, "endless")).id)).error

    assert error.error_type == pb.TaskError.TYPE_TIMEOUT
    assert error.traceback == ""


async def test_o23_o24_an_error_tells_its_retries_and_its_time(stack: Stack) -> None:
    @stack.tasks.task("hopeless", max_attempts=3, initial_backoff=timedelta(milliseconds=1))
    async def hopeless() -> None:
        raise ConnectionError("never")

    async with stack.worker():
        ended = await result_within(stack, (await enqueue(stack, "hopeless")).id)
    attempts = (await get_task(stack, ended.task.id)).attempt_history

    assert (ended.task.attempts, ended.error.retry_count) == (3, 2)
    assert ended.error.error_time == ended.task.end_time
    assert [attempt.error.retry_count for attempt in attempts] == [0, 1, 2]
    assert all(attempt.error.error_time == attempt.end_time for attempt in attempts)


async def test_o33_the_five_outcomes_are_five_different_answers(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        unfinished = ids[State.STATE_RUNNING]
        value = await get_result(stack, ids[State.STATE_COMPLETED])
        error = await get_result(stack, ids[State.STATE_FAILED])
        not_done = await get_result(stack, unfinished)
        timed_out = await result_within(stack, unfinished, timedelta(milliseconds=20))
        with pytest.raises(grpc.aio.AioRpcError) as not_found:
            await get_result(stack, "nobody-knows-it")

    assert not_found.value.code() is grpc.StatusCode.NOT_FOUND
    answers = (value, error, not_done, timed_out)
    assert [(a.WhichOneof("outcome"), a.wait_timed_out) for a in answers] == [
        ("result", False),
        ("error", False),
        (None, False),
        (None, True),
    ]
