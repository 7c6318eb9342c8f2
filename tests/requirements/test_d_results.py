"""D23-D31: results that are kept, awaited, and raised."""

import asyncio
import builtins
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_service_pb2 as service
from taskline_client import EnqueueOptions, ResultExpired, TaskFailed, TaskTimeout
from taskline_service import TaskContext
from tests.requirements.wire import State, enqueue, get_result, result_within
from tests.stack import Stack


class OutOfStock(Exception):
    """What no client can import."""


async def test_d23_a30_what_a_task_returns_is_its_result(stack: Stack) -> None:
    @stack.tasks.task("prices")
    async def prices() -> dict[str, float]:
        return {"tea": 1.1, "coffee": 2.0}

    async with stack.worker():
        result = await (await stack.client.enqueue("prices")).result()

    assert result == {"tea": 1.1, "coffee": 2.0}


async def test_d24_a_result_can_be_read_later_by_its_id(stack: Stack) -> None:
    @stack.tasks.task("answer")
    async def answer() -> int:
        return 42

    async with stack.worker():
        task = (await result_within(stack, (await enqueue(stack, "answer")).id)).task

    assert [await stack.client.handle(task.id).result() for _ in range(2)] == [42, 42]
    kept = task.result_expire_time.ToDatetime() - task.end_time.ToDatetime()
    assert kept == timedelta(hours=24)


async def test_d24_f5_4_f5_5_a_result_is_gone_after_its_time_and_the_task_is_not(
    stack: Stack,
) -> None:
    @stack.tasks.task("answer")
    async def answer() -> int:
        return 42

    options = EnqueueOptions(result_ttl=timedelta(milliseconds=1))
    async with stack.worker():
        handle = await stack.client.enqueue("answer", options=options)
        ended = await stack.until(handle.id, lambda task: task.state == State.STATE_COMPLETED)
        async with asyncio.timeout(5):
            with pytest.raises(ResultExpired) as expired:
                while True:
                    await handle.result()

    assert expired.value.status.metadata["state"] == "COMPLETED"
    assert ended.expire_time.ToMicroseconds() > ended.result_expire_time.ToMicroseconds()
    record = await handle.get()
    assert (record.state, record.task_type, record.end_time) == (
        "COMPLETED",
        "answer",
        ended.end_time.ToDatetime(tzinfo=UTC),
    )


async def test_d25_the_result_of_a_running_task_is_waited_for(stack: Stack) -> None:
    gate = asyncio.Event()

    @stack.tasks.task("gated")
    async def gated() -> str:
        await gate.wait()
        return "done"

    async with stack.worker():
        handle = await stack.client.enqueue("gated")
        await stack.until(handle.id, lambda task: task.state == State.STATE_RUNNING)
        result = asyncio.create_task(handle.result())
        assert await stack.state(handle.id) == State.STATE_RUNNING
        assert not result.done()
        gate.set()

        assert await result == "done"


async def test_d26_a_failure_is_raised_by_the_client_and_is_data_on_the_wire(
    stack: Stack,
) -> None:
    @stack.tasks.task("broken", max_attempts=1)
    async def broken() -> None:
        raise ValueError("no good")

    async with stack.worker():
        handle = await stack.client.enqueue("broken")
        with pytest.raises(TaskFailed, match="no good") as failed:
            await handle.result()
        answer = await get_result(stack, handle.id)

    assert failed.value.task_id == handle.id
    assert answer.task.state == State.STATE_FAILED
    assert answer.error.message == failed.value.error.message == "no good"


async def test_d27_a_timeout_that_runs_out_raises_timeout_error(stack: Stack) -> None:
    @stack.tasks.task("never.run")
    async def never_run() -> None: ...

    handle = await stack.client.enqueue("never.run")
    with pytest.raises(TimeoutError, match=r"did not complete within 0\.05 seconds") as caught:
        await handle.result(timeout=timedelta(milliseconds=50))

    assert isinstance(caught.value, TaskTimeout)
    assert await stack.state(handle.id) == State.STATE_QUEUED  # the task goes on


@pytest.mark.parametrize(
    "ahead",
    [
        pytest.param(timedelta(milliseconds=50), id="soon"),
        pytest.param(timedelta(days=-1), id="in the past"),
    ],
)
async def test_d28_a_wait_ends_at_its_deadline(stack: Stack, ahead: timedelta) -> None:
    @stack.tasks.task("never.run")
    async def never_run() -> None: ...

    handle = await stack.client.enqueue("never.run")
    request = service.GetResultRequest(task_id=handle.id)
    async with asyncio.timeout(5):
        request.deadline.FromDatetime(datetime.now(UTC) + ahead)
        answer = await stack.stub.GetResult(request)
        with pytest.raises(TimeoutError, match="did not complete"):
            await handle.result(deadline=datetime.now(UTC) + ahead)

    assert answer.wait_timed_out
    assert answer.WhichOneof("outcome") is None


async def test_d29_a_wait_has_a_timeout_or_a_deadline_and_never_both(stack: Stack) -> None:
    now = datetime.now(UTC)
    with pytest.raises(ValueError, match="either timeout or deadline, not both"):
        await stack.client.handle("t").result(timeout=timedelta(seconds=1), deadline=now)

    both = {"taskId": "t", "timeout": "1s", "deadline": "2026-01-31T10:00:00Z"}
    with pytest.raises(json_format.ParseError, match="limit"):
        json_format.ParseDict(both, service.GetResultRequest())
    request = service.GetResultRequest(task_id="t")
    request.timeout.FromSeconds(1)
    request.deadline.CopyFrom(Timestamp(seconds=1))
    assert request.WhichOneof("limit") == "deadline"


async def test_d30_an_error_names_its_class_so_that_it_can_be_found_again(stack: Stack) -> None:
    @stack.tasks.task("broken", max_attempts=1)
    async def broken() -> None:
        raise ValueError("no good")

    async with stack.worker():
        handle = await stack.client.enqueue("broken")
        with pytest.raises(TaskFailed) as failed:
            await handle.result()

    error = failed.value.error
    module, _, name = error.exception_class.rpartition(".")
    assert (module, getattr(builtins, name)) == ("builtins", ValueError)
    assert error.message == "no good"
    # The reader sees where it happened, as if it had happened here.
    assert any("raise ValueError" in note for note in failed.value.__notes__)


async def test_d31_an_error_that_the_client_cannot_import_is_told_by_name(stack: Stack) -> None:
    @stack.tasks.task("order", max_attempts=1)
    async def order(ctx: TaskContext) -> None:
        raise OutOfStock("none left")

    async with stack.worker():
        handle = await stack.client.enqueue("order")
        with pytest.raises(TaskFailed, match="none left") as failed:
            await handle.result()

    assert failed.value.error.exception_class == f"{__name__}.OutOfStock"
