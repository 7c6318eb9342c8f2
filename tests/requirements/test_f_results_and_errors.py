"""F4, F9, F10, F13, FT1-FT3, O25-O29, O48-O50, A27-A29, D30: results that cannot be, and errors."""

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, field_validator

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import EnqueueOptions, ResultExpired, TaskClient, TaskFailed, TaskNotFound
from taskline_service import TaskContext, TaskFailure
from taskline_service.limits import PayloadSizes
from taskline_service.store import StoreError, TaskStore, parse_redis_url
from taskline_service.store.values import Completion, Verdict
from tests.census import all_keys, keys_that_tell
from tests.requirements.shell import serving
from tests.requirements.wire import (
    State,
    enqueue,
    get_result,
    get_task,
    payload,
    result_within,
    whole_life,
)
from tests.stack import Stack

SOON = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)


class NoJson:
    pass


def an_open_file() -> IO[bytes]:
    return tempfile.TemporaryFile()  # the test closes it


@pytest.fixture
async def brief(store: TaskStore, redis_url: str) -> AsyncIterator[Stack]:
    """A deployment that keeps results for one second and records for two."""
    keeping = TaskStore(store.redis, store.keys, result_ttl=SECOND, record_ttl=2 * SECOND)
    async with Stack.running(keeping, parse_redis_url(redis_url)) as running:
        yield running


@pytest.fixture
async def strict(store: TaskStore, redis_url: str) -> AsyncIterator[Stack]:
    """A deployment that keeps results of at most 200 bytes."""
    sizes = PayloadSizes(max_result=200)
    async with Stack.running(store, parse_redis_url(redis_url), sizes=sizes) as running:
        yield running


# F4: what cannot be serialized


@pytest.mark.parametrize(
    ("bad", "path", "kind"),
    [
        pytest.param(NoJson, "result", "NoJson", id="object"),
        pytest.param(an_open_file, "result", "BufferedRandom", id="file"),
        pytest.param(lambda: {"a": [{"b": {1, 2}}]}, "result.a[0].b", "set", id="set, nested"),
        pytest.param(lambda: {"a": [1, {"b": b"x"}]}, "result.a[1].b", "bytes", id="bytes, nested"),
        pytest.param(lambda: [float("nan")], "result[0]", "float", id="not a number"),
        pytest.param(lambda: {1: "x"}, "result", "int", id="key that is no text"),
    ],
)
async def test_f4_1_f4_2_f4_3_f4_5_c9_ft2_o27_what_json_cannot_hold_fails_with_path_and_type(
    stack: Stack, caplog: pytest.LogCaptureFixture, bad: Any, path: str, kind: str
) -> None:
    values: list[Any] = []

    @stack.tasks.task("bad")
    async def give() -> Any:
        values.append(bad())
        return values[-1]

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "bad")).id)

    error = answer.error
    assert answer.task.state == State.STATE_FAILED
    assert error.error_type == pb.TaskError.TYPE_SERIALIZATION
    assert not error.is_retryable
    assert answer.task.attempts == 1
    assert path in error.message
    assert kind in error.message
    assert f"r:{answer.task.id}" not in await all_keys(stack.store.redis, stack.store.keys)
    assert any(
        answer.task.id in record.getMessage() and path in record.getMessage()
        for record in caplog.records
    )
    for value in values:
        if hasattr(value, "close"):
            value.close()


@pytest.mark.parametrize("value", ["text", 7, 0.5, True, None, [1, "a"], []])
async def test_f4_6_scalars_and_lists_are_returned_as_such(stack: Stack, value: Any) -> None:
    @stack.tasks.task("give")
    async def give() -> Any:
        return value

    async with stack.worker():
        task_id = (await enqueue(stack, "give")).id
        await result_within(stack, task_id)
        request = service.DownloadResultRequest(task_id=task_id)
        chunks = [answer.chunk async for answer in stack.stub.DownloadResult(request)]

    assert json.loads(b"".join(chunks)) == value


# F9: sizes


@pytest.mark.parametrize("declared", [True, False])
async def test_f4_4_f9_1_f9_3_ft3_a_result_over_the_limit_is_told_with_size_limit_and_advice(
    stack: Stack, caplog: pytest.LogCaptureFixture, declared: bool
) -> None:
    if declared:

        @stack.tasks.task("large")
        async def large_declared() -> list[int]:
            return [1] * 3_000_000

    else:

        @stack.tasks.task("large")
        async def large_undeclared() -> Any:
            return [1] * 3_000_000

    async with stack.worker():
        error = (await result_within(stack, (await enqueue(stack, "large")).id)).error

    assert error.error_type == pb.TaskError.TYPE_SERIALIZATION
    assert not error.is_retryable
    assert ("at least " in error.message) is not declared  # found out before it was written
    assert str(5 * 1024 * 1024) in error.message
    assert "store it elsewhere and return a reference" in error.message
    assert any(
        record.levelno == logging.WARNING and error.message in record.getMessage()
        for record in caplog.records
    )


@pytest.mark.parametrize(
    ("of_type", "limit"),
    [
        pytest.param(None, 200, id="the limit of the service"),
        pytest.param(100, 100, id="a stricter one of the type"),
        pytest.param(300, 200, id="never a laxer one"),
    ],
)
async def test_f9_1_f9_3_a_task_type_may_have_a_limit_of_its_own(
    strict: Stack, caplog: pytest.LogCaptureFixture, of_type: int | None, limit: int
) -> None:
    @strict.tasks.task("text", max_result_size=of_type)
    async def text(length: int) -> str:
        return "x" * length

    async with strict.worker():
        fits = await result_within(strict, (await enqueue(strict, "text", length=limit - 2)).id)
        over = await result_within(strict, (await enqueue(strict, "text", length=limit - 1)).id)

    assert (fits.task.state, fits.task.result_size) == (State.STATE_COMPLETED, limit)
    assert (over.task.state, over.task.result_size) == (State.STATE_FAILED, 0)
    assert over.error.error_type == pb.TaskError.TYPE_SERIALIZATION
    assert over.error.message == (
        f"the result has {limit + 1} bytes, the limit is {limit}: "
        "store it elsewhere and return a reference to it"
    )
    assert f"r:{over.task.id}" not in await all_keys(strict.store.redis, strict.store.keys)
    logged = f"task {over.task.id}: {over.error.message}"
    assert logged in [record.getMessage() for record in caplog.records]


async def test_f9_2_f9_4_ft3_a_result_above_the_limit_of_grpc_reaches_the_client(
    stack: Stack,
) -> None:
    value = [{"row": i, "text": "ä" * 20} for i in range(70_000)]

    @stack.tasks.task("rows")
    def rows() -> list[dict[str, Any]]:
        return value

    async with stack.worker():
        handle = await stack.client.enqueue("rows")
        result = await handle.result()

    assert result == value
    assert (await handle.get()).result_size > 4 * 1024 * 1024


# F10, O25-O29, A27-A29: errors


async def test_f10_1_f10_2_f10_3_o25_a26_an_error_tells_what_failed_where_and_in_which_attempt(
    stack: Stack,
) -> None:
    @stack.tasks.task("broken", max_attempts=2, initial_backoff=SOON)
    async def broken(items: list[int]) -> int:
        return items[9]

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "broken", items=[])).id)

    error = answer.error
    assert error.error_type == pb.TaskError.TYPE_RUNTIME
    assert error.exception_class == "builtins.IndexError"
    assert error.message == "list index out of range"
    assert "return items[9]" in error.traceback
    assert (answer.task.task_type, error.retry_count, error.is_retryable) == ("broken", 1, True)


async def test_f10_4_f10_5_the_task_of_an_error_tells_its_context(stack: Stack) -> None:
    @stack.tasks.task("broken", max_attempts=1)
    async def broken(name: str) -> None:
        raise ValueError(name)

    async with stack.worker():
        options = EnqueueOptions(labels={"order": "7"})
        handle = await stack.client.enqueue("broken", name="x", options=options)
        with pytest.raises(TaskFailed):
            await handle.result()

    task = await handle.get()
    assert (task.labels, task.input) == ({"order": "7"}, {"name": "x"})
    assert task.start_time is not None
    assert task.end_time is not None
    assert task.worker
    assert task.error is not None
    assert task.error.retry_count == 0


async def test_o26_ft5_an_attempt_that_takes_too_long_is_stopped(stack: Stack) -> None:
    stopped = asyncio.Event()

    @stack.tasks.task("endless", max_attempts=1, timeout=timedelta(milliseconds=50))
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with stack.worker():
        error = (await result_within(stack, (await enqueue(stack, "endless")).id)).error

    assert stopped.is_set()
    assert error.error_type == pb.TaskError.TYPE_TIMEOUT
    assert "execution_timeout of 0.05 s" in error.message


@pytest.mark.one_partition
@pytest.mark.damages_store
async def test_o28_a_result_that_the_store_refuses_is_an_error_of_the_storage(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    @stack.tasks.task("work")
    async def work() -> int:
        return 1

    # No store that we know of refuses this move alone, for good.
    async def refuse(completions: Sequence[Completion]) -> list[Verdict]:
        raise StoreError("ERR not here")

    monkeypatch.setattr(stack.store, "complete", refuse)
    task = await enqueue(stack, "work")
    async with stack.worker():
        answer = await result_within(stack, task.id)

    assert answer.task.state == State.STATE_FAILED
    assert answer.error.error_type == pb.TaskError.TYPE_STORAGE
    assert answer.error.message == "result not stored: ERR not here"


class Odd(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        if number:
            raise RuntimeError("validators raise ValueError, not this")
        return number


async def test_o29_what_is_of_no_known_kind_is_unknown_and_ends_no_worker(stack: Stack) -> None:
    @stack.tasks.task("made", max_attempts=1)
    async def made(number: int) -> None: ...

    @stack.tasks.task("fine")
    async def fine() -> int:
        return 1

    task = await enqueue(stack, "made", number=1)

    # A worker of another version, to whose types this input does not go.
    newer = type(stack.tasks)()

    @newer.task("made", max_attempts=1)
    async def made_anew(odd: Odd) -> None: ...

    newer.task("fine")(fine)
    async with stack.worker(tasks=newer):
        answer = await result_within(stack, task.id)
        after = await result_within(stack, (await enqueue(stack, "fine")).id)

    assert answer.error.error_type == pb.TaskError.TYPE_UNKNOWN
    assert "not this" in answer.error.message
    assert after.result.json.number_value == 1


async def test_a27_f10_3_a_task_attaches_message_and_details_beside_the_exception(
    stack: Stack,
) -> None:
    @stack.tasks.task("order", max_attempts=1)
    async def order() -> None:
        try:
            raise ValueError("stock is -1")
        except ValueError as error:
            error.add_note("warehouse 3")
            raise TaskFailure("order 7: sold out", details={"sku": 7, "left": [0]}) from error

    async with stack.worker():
        handle = await stack.client.enqueue("order")
        with pytest.raises(TaskFailed, match="order 7: sold out") as failed:
            await handle.result()

    error = failed.value.error
    assert error.details == {"sku": 7, "left": [0]}
    assert error.exception_class == "taskline_service.TaskFailure"
    assert "ValueError: stock is -1\nwarehouse 3" in error.traceback
    (attempt,) = (await handle.get()).attempt_history
    assert attempt.error == error


async def test_o49_an_error_that_is_not_retryable_ends_the_task_at_once(stack: Stack) -> None:
    class SoldOut(TaskFailure):
        retryable = False

    @stack.tasks.task("order", max_attempts=5)
    async def order() -> None:
        raise SoldOut("none left")

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "order")).id)

    assert (answer.task.attempts, answer.task.state) == (1, State.STATE_FAILED)
    assert not answer.error.is_retryable


async def test_o48_an_error_tells_when_to_try_again(stack: Stack) -> None:
    an_hour = timedelta(hours=1)

    @stack.tasks.task("busy", initial_backoff=an_hour, max_backoff=an_hour)
    async def busy(ctx: TaskContext, *, after_s: float) -> int:
        if ctx.attempt == 1:
            raise TaskFailure("come back later", retry_after=timedelta(seconds=after_s))
        return ctx.attempt

    async with stack.worker():
        soon = await result_within(stack, (await enqueue(stack, "busy", after_s=0)).id)
        later = await enqueue(stack, "busy", after_s=1800)
        waits = await stack.until(later.id, lambda task: task.state == State.STATE_RETRYING)

    assert soon.result.json.number_value == 2
    wait = waits.schedule_time.ToDatetime() - waits.error.error_time.ToDatetime()
    assert wait == an_hour / 2


async def test_o48_o50_a29_c5_a_task_that_always_fails_runs_exactly_as_often_as_it_may(
    stack: Stack,
) -> None:
    runs = list[str]()

    @stack.tasks.task("hopeless", max_attempts=3, initial_backoff=SOON)
    async def hopeless(ctx: TaskContext) -> None:
        runs.append(ctx.task_id)
        raise ConnectionError("never")

    other = service.EnqueueRequest(
        task_type="hopeless", retry_policy=pb.RetryPolicy(max_attempts=5)
    )
    async with stack.worker():
        by_type = await result_within(stack, (await enqueue(stack, "hopeless")).id)
        by_request = await result_within(stack, (await stack.stub.Enqueue(other)).task.id)

    for answer, expected in ((by_type, 3), (by_request, 5)):
        assert runs.count(answer.task.id) == answer.task.attempts == expected
        assert (answer.task.max_attempts, answer.error.retry_count) == (expected, expected - 1)


async def test_a28_of_retries_within_the_task_only_the_last_failure_counts(stack: Stack) -> None:
    @stack.tasks.task("tenacious", max_attempts=1)
    async def tenacious() -> None:
        for i in range(3):
            try:
                raise ConnectionError(f"try {i}")
            except ConnectionError:
                if i == 2:
                    raise

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "tenacious")).id)

    assert (answer.task.attempts, answer.error.message) == (1, "try 2")


async def test_f10_2_the_history_has_the_last_twenty_attempts_with_their_errors(
    stack: Stack,
) -> None:
    @stack.tasks.task("hopeless", max_attempts=22, initial_backoff=SOON, max_backoff=SOON)
    async def hopeless(ctx: TaskContext) -> None:
        raise TaskFailure(f"attempt {ctx.attempt}", details={"attempt": ctx.attempt})

    async with stack.worker():
        task_id = (await result_within(stack, (await enqueue(stack, "hopeless")).id)).task.id
    history = (await get_task(stack, task_id)).attempt_history

    assert [attempt.number for attempt in history] == list(range(3, 23))
    for attempt in history:
        assert attempt.error.message == f"attempt {attempt.number}"
        assert attempt.error.details["attempt"] == attempt.number
        assert attempt.error.retry_count == attempt.number - 1
        assert "raise TaskFailure" in attempt.error.traceback


# F13, FT1: expiry


async def test_f5_1_f5_3_f13_3_ft1_an_expired_result_is_told_from_an_unknown_task(
    brief: Stack,
) -> None:
    @brief.tasks.task("answer")
    async def answer(ctx: TaskContext) -> int:
        await ctx.progress.set_message("done")
        return 42

    async with brief.worker():
        task = (await result_within(brief, (await enqueue(brief, "answer")).id)).task
    handle = brief.client.handle(task.id)
    assert await handle.result() == 42
    async with asyncio.timeout(10):
        with pytest.raises(ResultExpired, match=r"its result was kept for 1 s, until") as expired:
            while True:
                await handle.result()
        with pytest.raises(ResultExpired):
            request = service.DownloadResultRequest(task_id=task.id)
            async with TaskClient(brief.address) as client:
                connection = client._connection
                async for _ in connection.stream(connection.streams.DownloadResult, request):
                    pass
        ended = [event.ended async for event in _watch(brief, task.id)][-1]
        with pytest.raises(TaskNotFound):
            while True:
                await handle.get()

    told = expired.value.status.metadata
    assert (told["state"], told["task_id"]) == ("COMPLETED", task.id)
    for name in ("end_time", "result_expire_time"):
        instant: Timestamp = getattr(task, name)
        assert told[name] == instant.ToDatetime().isoformat(timespec="milliseconds") + "Z"
    assert ended.state == State.STATE_COMPLETED
    assert ended.WhichOneof("outcome") is None
    kept = task.expire_time.ToDatetime() - task.end_time.ToDatetime()
    assert kept == 2 * SECOND
    left = await all_keys(brief.store.redis, brief.store.keys)
    assert [key for key in left if task.id in key] == []
    assert not {"retention", "leases", "due"} & set(left)


async def _watch(stack: Stack, task_id: str) -> AsyncIterator[pb.TaskEvent]:
    for event in await whole_life(stack, task_id):
        yield event


_SECRET = "s3cret"


def _hides_something(stack: Stack) -> None:
    """A task that tells a secret in every way there is, and fails with it first."""

    @stack.tasks.task("hides", max_attempts=2, initial_backoff=SOON)
    async def hides(ctx: TaskContext, secret: str) -> AsyncIterator[str]:
        await ctx.log(secret, percentage=50)
        await ctx.progress.set_message(secret)
        yield secret
        if ctx.attempt == 1:
            raise TaskFailure(secret, details={"why": secret})


async def _run_it(stack: Stack, task_id: str) -> None:
    request = service.EnqueueRequest(task_type="hides", task_id=task_id, labels={"of": _SECRET})
    request.input.CopyFrom(payload({"secret": _SECRET}))
    await stack.stub.Enqueue(request)
    answer = await result_within(stack, task_id)
    assert answer.task.state == State.STATE_COMPLETED


async def test_f13_2_f13_3_nothing_of_an_expired_task_is_left_in_the_store(brief: Stack) -> None:
    redis, keys = brief.store.redis, brief.store.keys
    _hides_something(brief)
    async with brief.worker():
        await _run_it(brief, "id-of-the-task")
        before = await keys_that_tell(redis, keys, _SECRET, "id-of-the-task")
        async with asyncio.timeout(10):
            while await redis.call(b"EXISTS", keys.prefix + b"t:id-of-the-task"):
                pass
        left = await keys_that_tell(redis, keys, _SECRET, "id-of-the-task")

    assert before > {"log", "h:id-of-the-task"}
    assert left == set()


async def test_nothing_of_a_deleted_task_is_left_in_the_store(brief: Stack) -> None:
    redis, keys = brief.store.redis, brief.store.keys
    _hides_something(brief)
    async with brief.worker():
        await _run_it(brief, "id-of-the-task")
        await brief.admin.DeleteTask(admin.DeleteTaskRequest(task_id="id-of-the-task"))
        left_at_once = await keys_that_tell(redis, keys, _SECRET)
        async with asyncio.timeout(10):
            while await keys_that_tell(redis, keys, "id-of-the-task"):
                pass

    assert left_at_once == set()


async def test_f13_2_errors_are_kept_as_long_as_the_record(brief: Stack) -> None:
    @brief.tasks.task("broken", max_attempts=1)
    async def broken() -> None:
        raise ValueError("no good")

    async with brief.worker():
        answer = await result_within(brief, (await enqueue(brief, "broken")).id)

    assert not answer.task.HasField("result_expire_time")
    kept = answer.task.expire_time.ToDatetime() - answer.task.end_time.ToDatetime()
    assert kept == 2 * SECOND
    async with asyncio.timeout(10):
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            while True:  # to the end, it tells its error
                assert (await get_result(brief, answer.task.id)).error.message == "no good"
    assert gone.value.code() is grpc.StatusCode.NOT_FOUND


async def test_f13_1_f13_2_f13_3_the_ttls_and_sizes_are_options_of_the_service(
    tmp_path: Path,
) -> None:
    options = ("--result-ttl", "1", "--record-ttl", "600", "--max-result-size", "100")
    async with serving(tmp_path, *options) as address, TaskClient(address) as client:
        info = await client._connection.call(
            client._connection.admin.GetServerInfo, admin.GetServerInfoRequest()
        )
        handle = await client.enqueue("demo.divide", dividend=1, divisor=8)
        await handle.result()
        task = await handle.get()
        async with asyncio.timeout(20):
            with pytest.raises(ResultExpired):
                while True:
                    await handle.result()
        with pytest.raises(TaskFailed, match="the limit is 100"):
            await (await client.enqueue("text.count_words", path="README.md", top=50)).result()

    assert info.default_result_ttl.ToTimedelta() == SECOND
    assert info.record_ttl.ToTimedelta() == 600 * SECOND
    assert info.max_result_size == 100
    assert task.expire_time is not None
    assert task.result_expire_time is not None
    assert task.end_time is not None
    assert task.result_expire_time - task.end_time == SECOND
    assert task.expire_time - task.end_time == 600 * SECOND


async def test_d30_a_builtin_exception_can_be_raised_again_by_its_type(stack: Stack) -> None:
    @stack.tasks.task("broken", max_attempts=1)
    async def broken() -> None:
        raise ZeroDivisionError("by zero")

    async with stack.worker():
        answer = await result_within(stack, (await enqueue(stack, "broken")).id)

    assert answer.error.exception_class == "builtins.ZeroDivisionError"
