"""DownloadResult, and the sizes that payloads may have."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import TaskFailed
from taskline_service import TaskFailure
from taskline_service.errors import ResultExpired, TaskNotCompleted
from taskline_service.limits import MAX_OUTPUT_BYTES, PayloadSizes
from taskline_service.rpc import downloading
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.store import (
    Directory,
    RedisAddress,
    TaskStore,
    WorkerInfo,
    parse_redis_url,
)
from taskline_service.store.values import Completion, Conflict, Failure
from taskline_service.task import Claim, RetryPolicy
from taskline_service.tasks.validation import MAX_FAULTS
from tests.requirements.every_state import one_task_in_each_state
from tests.requirements.wire import State, enqueue, payload, result_within
from tests.stack import Stack
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    NO_TIME,
    claim_all,
    claimed,
    new_task,
)

MIB = 1 << 20
MAX_INPUT, MAX_RESULT, MOST = 1 * MIB, 5 * MIB, 4 * MIB
CHUNK = 256 * 1024

FORMATS = [
    pytest.param(form, id=pb.PayloadFormat.Name(form))
    for form in (
        pb.PAYLOAD_FORMAT_JSON,
        pb.PAYLOAD_FORMAT_JSON_BYTES,
        pb.PAYLOAD_FORMAT_MESSAGE,
    )
]
AROUND = [
    pytest.param(-1, id="one byte less"),
    pytest.param(0, id="at the limit"),
    pytest.param(1, id="one byte more"),
]
MILLION = list(range(10)) * 100_000
NESTED: dict[str, Any] = {}
for _ in range(99):
    NESTED = {"deeper": NESTED}


def text_of(size: int) -> str:
    """A text that takes so many bytes as JSON."""
    return "x" * (size - 2)


async def download(
    stack: Stack, task_id: str, offset: int = 0
) -> list[service.DownloadResultResponse]:
    request = service.DownloadResultRequest(task_id=task_id, offset=offset)
    return [answer async for answer in stack.stub.DownloadResult(request)]


async def completed(store: TaskStore, task_id: str, result: bytes, **fields: Any) -> None:
    claim = await claimed(store, new_task(task_id, **fields))
    await store.complete([Completion(claim, result)])


def reason_of(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    return error.code(), error.details() or ""


# DownloadResult


async def test_a_result_is_downloaded_in_chunks_that_are_exactly_its_bytes(stack: Stack) -> None:
    result = json.dumps("".join(map(str, range(200_000)))).encode()
    await completed(stack.store, "t", result)

    answers = await download(stack, "t")

    assert b"".join(answer.chunk for answer in answers) == result
    assert [len(answer.chunk) for answer in answers[:-1]] == [CHUNK] * (len(result) // CHUNK)
    assert {answer.total_size for answer in answers} == {len(result)}


@pytest.mark.parametrize("offset", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
async def test_a_download_starts_where_it_is_asked_to(stack: Stack, offset: int) -> None:
    result = b'"' + b"x" * (2 * CHUNK) + b'"'
    await completed(stack.store, "t", result)

    answers = await download(stack, "t", offset)

    assert b"".join(answer.chunk for answer in answers) == result[offset:]


async def test_a_download_from_the_very_end_tells_the_size_and_is_over(stack: Stack) -> None:
    await completed(stack.store, "t", b"[1,2]")

    assert await download(stack, "t", 5) == [service.DownloadResultResponse(total_size=5)]


@pytest.mark.parametrize(("offset", "said"), [(6, "is past the end"), (-1, "not be negative")])
async def test_an_offset_outside_of_the_result_is_refused(
    stack: Stack, offset: int, said: str
) -> None:
    await completed(stack.store, "t", b"[1,2]")

    with pytest.raises(grpc.aio.AioRpcError, match=said) as refused:
        await download(stack, "t", offset)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_only_a_completed_task_has_a_result_to_download(stack: Stack) -> None:
    async with one_task_in_each_state(stack) as ids:
        for state, task_id in ids.items():
            if state == State.STATE_COMPLETED:
                assert [a.chunk for a in await download(stack, task_id)] == [b"null"]
                continue
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await download(stack, task_id)
            code, said = reason_of(refused.value)
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert State.Name(state).removeprefix("STATE_") in said

    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await download(stack, "nobody-knows-it")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_download_notices_that_its_task_was_replaced(store: TaskStore) -> None:
    large = b'"' + b"x" * (2 * CHUNK) + b'"'
    await completed(store, "t", large)
    request = service.DownloadResultRequest(task_id="t")
    answers = downloading.chunks(request, store, Lifetime())
    assert len((await anext(answers)).chunk) == CHUNK

    await completed(store, "t", large, on_conflict=Conflict.REPLACE_TERMINAL)

    with pytest.raises(TaskNotCompleted, match="start over"):
        await anext(answers)


# Expiry


@pytest.mark.one_partition
async def test_an_expired_result_is_not_given_out_even_if_nobody_has_dropped_it(
    store: TaskStore,
) -> None:
    await completed(store, "t", b"[1,2]", result_ttl=timedelta(milliseconds=1))
    async with asyncio.timeout(10):
        while (await store.get_outcome("t"))[1] is not None:
            pass

    assert await store.redis.call(b"HGET", store.keys.prefix + b"t:t", b"rv") == b"[1,2]"
    with pytest.raises(ResultExpired, match="its result was kept for"):
        await anext(
            downloading.chunks(service.DownloadResultRequest(task_id="t"), store, Lifetime())
        )


# Sizes


@pytest.mark.parametrize("more", AROUND)
@pytest.mark.parametrize("kind", ["json", "json_bytes"])
async def test_an_input_may_have_a_mebibyte(stack: Stack, kind: str, more: int) -> None:
    @stack.tasks.task("measure")
    async def measure(value: str, /) -> int:
        return len(value)

    text = text_of(MAX_INPUT + more)
    request = service.EnqueueRequest(task_type="measure")
    if kind == "json":
        request.input.json.string_value = text
    else:
        request.input.json_bytes = json.dumps(text).encode()
    if more <= 0:
        async with stack.worker():
            task = (await stack.stub.Enqueue(request)).task
            answer = await result_within(stack, task.id)
        assert task.input_size == MAX_INPUT + more
        assert answer.result.json.number_value == len(text)
        return
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stack.stub.Enqueue(request)
    code, said = reason_of(refused.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert all(part in said for part in (str(MAX_INPUT), str(MAX_INPUT + 1), "reference"))


@pytest.mark.parametrize("more", AROUND)
@pytest.mark.parametrize("form", FORMATS)
async def test_f9_1_ft3_a_result_may_have_five_mebibytes(
    stack: Stack, form: pb.PayloadFormat.ValueType, more: int
) -> None:
    @stack.tasks.task("large")
    async def large() -> str:
        return text_of(MAX_RESULT + more)

    async with stack.worker():
        task_id = (await enqueue(stack, "large")).id
        request = service.GetResultRequest(task_id=task_id, wait=True, payload_format=form)
        answer = await stack.stub.GetResult(request)

    if more > 0:
        assert answer.error.error_type == pb.TaskError.TYPE_SERIALIZATION
        said = answer.error.message
        assert all(part in said for part in (str(MAX_RESULT), str(MAX_RESULT + 1), "reference"))
        return
    assert answer.WhichOneof("outcome") is None
    assert answer.task.result_size == MAX_RESULT + more
    assert await stack.client.handle(task_id).result() == text_of(MAX_RESULT + more)


@pytest.mark.parametrize("more", AROUND)
@pytest.mark.parametrize("form", FORMATS)
async def test_f9_2_an_answer_has_results_up_to_three_mebibytes(
    stack: Stack, form: pb.PayloadFormat.ValueType, more: int
) -> None:
    # The text itself, or a protobuf value with it: a tag and four bytes of length.
    wrapped = 5 if form == pb.PAYLOAD_FORMAT_JSON else 0
    quotes = 2 if form == pb.PAYLOAD_FORMAT_JSON else 0
    await completed(
        stack.store, "t", json.dumps(text_of(3 * MIB - wrapped + quotes + more)).encode()
    )

    request = service.GetResultRequest(task_id="t", payload_format=form)
    answer = await stack.stub.GetResult(request)

    assert answer.HasField("result") is (more <= 0)
    if more == 0:
        told = answer.result
        assert (len(told.json_bytes) or told.json.ByteSize()) == 3 * MIB


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "value", [pytest.param(MILLION, id="a million"), pytest.param(NESTED, id="100 nested")]
)
async def test_no_answer_is_larger_than_a_stock_client_takes(
    stack: Stack, form: pb.PayloadFormat.ValueType, value: Any
) -> None:
    @stack.tasks.task("give")
    async def give(value: Any) -> Any:
        return value if value != "million" else MILLION

    given = "million" if value is MILLION else value
    request = service.EnqueueRequest(task_type="give")
    request.input.json_bytes = json.dumps({"value": given}).encode()
    async with stack.worker():
        run = service.RunRequest(enqueue=request, payload_format=form)
        events = [event async for event in stack.stub.Run(run)]
    task_id = events[0].task_id

    asked: dict[str, Any] = {"task_id": task_id, "payload_format": form}
    watch = service.WatchRequest(task_ids=[task_id], payload_format=form)
    again = service.WatchRequest(
        task_ids=[task_id], payload_format=form, resume_token=events[0].resume_token
    )
    answers = [
        *events,
        *[event async for event in stack.stub.Watch(watch)],
        *[event async for event in stack.stub.Watch(again)],
        await stack.stub.ListTaskEvents(service.ListTaskEventsRequest(**asked)),
        await stack.stub.GetResult(service.GetResultRequest(**asked)),
        await stack.stub.GetTask(service.GetTaskRequest(**asked)),
        await stack.stub.ListTasks(
            service.ListTasksRequest(view=pb.TASK_VIEW_FULL, payload_format=form)
        ),
    ]
    assert all(answer.ByteSize() <= MOST for answer in answers)
    assert events[-1].ended.state == State.STATE_COMPLETED
    assert await stack.client.handle(task_id).result() == value


@pytest.mark.parametrize("form", FORMATS)
async def test_pages_of_outputs_that_grow_in_a_form_are_cut_where_a_stock_client_takes_them(
    stack: Stack, form: pb.PayloadFormat.ValueType
) -> None:
    numbers = MILLION[: MAX_OUTPUT_BYTES // 2 - 1]

    @stack.tasks.task("emit")
    async def emit() -> AsyncIterator[list[int]]:
        for _ in range(4):
            yield numbers

    async with stack.worker():
        request = service.EnqueueRequest(task_type="emit", task_id="t")
        run = service.RunRequest(enqueue=request, payload_format=form)
        told = [event async for event in stack.stub.Run(run) if event.HasField("output")]
    listing = service.ListTaskEventsRequest(task_id="t", payload_format=form)
    pages = list[service.ListTaskEventsResponse]()
    while not pages or listing.page_token:
        pages.append(await stack.stub.ListTaskEvents(listing))
        listing.page_token = pages[-1].next_page_token
    kept = [event for page in pages for event in page.events if event.HasField("output")]

    assert all(answer.ByteSize() <= MOST for answer in [*told, *pages])
    assert [event.output for event in told] == [event.output for event in kept]
    assert len(kept) == 4
    if form == pb.PAYLOAD_FORMAT_JSON:
        assert len(pages) > 1
        assert len(kept[0].output.json.list_value.values) == len(numbers)


async def test_a_page_of_workers_that_run_much_is_cut_and_the_next_goes_on(stack: Stack) -> None:
    directory = Directory(stack.store.redis, stack.store.keys)
    running = tuple(f"{number:0128}" for number in range(1000))
    ids = [f"worker-{number:03}" for number in range(40)]
    for worker_id in ids:
        worker = WorkerInfo(
            id=worker_id,
            identity=worker_id,
            queues=(),
            task_types=(),
            concurrency=1000,
            running_task_ids=running,
            start_us=1,
        )
        await directory.heartbeat(worker, ttl=AN_HOUR)

    request, told = admin.ListWorkersRequest(page_size=1000), list[str]()
    while not told or request.page_token:
        page = await stack.admin.ListWorkers(request)
        assert page.ByteSize() <= MOST
        told += [worker.id for worker in page.workers]
        request.page_token = page.next_page_token

    assert told == ids


async def test_an_input_of_half_a_million_numbers_is_taken_as_a_protobuf_value(
    stack: Stack,
) -> None:
    @stack.tasks.task("count")
    async def count(numbers: list[int], /) -> int:
        return len(numbers)

    numbers = MILLION[: MAX_INPUT // 2 - 1]
    request = service.EnqueueRequest(task_type="count", input=payload(numbers))
    assert request.ByteSize() > MOST
    async with stack.worker():
        task = (await stack.stub.Enqueue(request)).task
        answer = await result_within(stack, task.id)

    assert answer.result.json.number_value == len(numbers)
    told = (await stack.stub.GetTask(service.GetTaskRequest(task_id=task.id))).task
    assert not told.HasField("input")
    assert told.input_size > 0


async def next_claim(store: TaskStore) -> Claim:
    """The next task, as soon as upkeep has put it on its queue."""
    async with asyncio.timeout(10):
        while not (claims := await claim_all(store, 1)):
            pass
    return claims[0]


async def with_twenty_failures(store: TaskStore, task_id: str, task_input: bytes) -> None:
    error = replace(
        BROKEN,
        message="m" * 4096,
        traceback="t" * 65536,
        details={"many": [1] * 2000},
    )
    policy = RetryPolicy(max_attempts=20)
    claim = await claimed(store, new_task(task_id, input=task_input, retry_policy=policy))
    for _ in range(19):
        await store.fail([Failure(claim, error, NO_TIME)])
        claim = await next_claim(store)
    await store.fail([Failure(claim, error, None)])


async def test_the_last_twenty_attempts_are_told_whole(stack: Stack) -> None:
    await with_twenty_failures(stack.store, "t", b"{}")

    task = (await stack.stub.GetTask(service.GetTaskRequest(task_id="t"))).task

    assert [attempt.number for attempt in task.attempt_history] == list(range(1, 21))
    assert {len(attempt.error.traceback) for attempt in task.attempt_history} == {65536}
    many = {len(a.error.details.fields["many"].list_value.values) for a in task.attempt_history}
    assert many == {2000}
    assert task.error.retry_count == 19


async def test_a_full_view_leaves_out_the_oldest_tracebacks_where_there_is_no_room(
    stack: Stack,
) -> None:
    numbers = json.dumps(MILLION[:275_000], separators=(",", ":")).encode()
    for task_id in ("a", "b"):
        await with_twenty_failures(stack.store, task_id, numbers)

    task = (await stack.stub.GetTask(service.GetTaskRequest(task_id="a"))).task
    listing, told = service.ListTasksRequest(view=pb.TASK_VIEW_FULL), list[str]()
    while not told or listing.page_token:
        page = await stack.stub.ListTasks(listing)
        assert page.ByteSize() <= MOST
        told += [listed.id for listed in page.tasks]
        listing.page_token = page.next_page_token

    assert task.input.ByteSize() > 2.8 * MIB
    kept = [bool(attempt.error.traceback) for attempt in task.attempt_history]
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (False, True)
    assert sorted(told) == ["a", "b"]


async def test_a_thousand_tasks_with_all_their_labels_make_an_answer_that_fits(
    stack: Stack,
) -> None:
    @stack.tasks.task("noop")
    async def noop() -> None: ...

    labels = {f"label-{i}": "x" * 255 for i in range(16)}
    entry = service.EnqueueRequest(task_type="noop", labels=labels)
    requests = service.BatchEnqueueRequest(requests=[entry] * 1000)

    answer = await stack.stub.BatchEnqueue(requests)

    assert answer.ByteSize() <= MOST < requests.ByteSize()
    assert len({response.task.id for response in answer.responses}) == 1000
    last = (
        await stack.stub.GetTask(service.GetTaskRequest(task_id=answer.responses[-1].task.id))
    ).task
    assert dict(last.labels) == labels


async def test_a_thousand_refusals_make_an_answer_that_fits(stack: Stack) -> None:
    @stack.tasks.task("many")
    async def many(measurements: list[int]) -> None: ...

    entry = service.EnqueueRequest(task_type="many")
    entry.input.json_bytes = json.dumps({"measurements": ["x"] * (MAX_FAULTS + 1)}).encode()
    requests = service.BatchEnqueueRequest(requests=[entry] * 1000, allow_partial=True)

    answer = await stack.stub.BatchEnqueue(requests)

    assert answer.ByteSize() <= MOST
    assert [failure.index for failure in answer.failures] == list(range(1000))
    assert all(failure.reason == "INVALID_INPUT" for failure in answer.failures)
    first, last = answer.failures[0], answer.failures[-1]
    assert len(first.field_violations) == MAX_FAULTS
    assert not first.metadata
    assert not last.field_violations
    assert last.metadata == {"violation_count": str(MAX_FAULTS)}


@pytest.fixture
async def small(store: TaskStore, redis_url: str) -> AsyncIterator[Stack]:
    """A deployment that takes little."""
    address: RedisAddress = parse_redis_url(redis_url)
    sizes = PayloadSizes(max_input=100, max_result=200)
    async with Stack.running(store, address, sizes=sizes) as running:
        yield running


async def test_the_limits_are_options_and_told(small: Stack) -> None:
    @small.tasks.task("double")
    async def double(value: str, /) -> str:
        return value * 3

    async with small.worker():
        fits = await (await small.client.enqueue("double", text_of(60))).result()
        with pytest.raises(TaskFailed, match="the limit is 200"):
            await (await small.client.enqueue("double", text_of(100))).result()
        with pytest.raises(grpc.aio.AioRpcError, match="the limit is 100"):
            await small.stub.Enqueue(
                service.EnqueueRequest(task_type="double", input=payload(text_of(101)))
            )
    info = await small.admin.GetServerInfo(admin.GetServerInfoRequest())

    assert len(fits) == 3 * 58
    assert (info.max_input_size, info.max_result_size) == (100, 200)


# Failures that say more


@pytest.mark.parametrize(
    ("details", "remark"),
    [
        pytest.param({"x": "y" * 5000}, "more than 4096", id="too long"),
        pytest.param({"x": object()}, "details.x of type object", id="no JSON"),
        pytest.param(NESTED, "nested more than 30", id="too deep"),
        pytest.param(["x"], "details left out", id="no object"),
    ],
)
async def test_details_that_cannot_be_shown_are_left_out_with_a_remark(
    stack: Stack, details: Any, remark: str
) -> None:
    @stack.tasks.task("broken", max_attempts=1)
    async def broken() -> None:
        raise TaskFailure("sold out", details=details)

    async with stack.worker():
        error = (await result_within(stack, (await enqueue(stack, "broken")).id)).error

    assert error.message.startswith("sold out (details left out")
    assert remark in error.message
    assert not error.HasField("details")


async def test_details_keep_what_a_double_cannot_hold(stack: Stack) -> None:
    @stack.tasks.task("broken", max_attempts=1)
    async def broken() -> None:
        raise TaskFailure("no", details={"large": 2**60, "small": 7, "huge": 10**400})

    async with stack.worker():
        error = (await result_within(stack, (await enqueue(stack, "broken")).id)).error

    details = error.details
    assert (details["large"], details["small"]) == (str(2**60), 7)
    assert details["huge"] == str(10**400)
