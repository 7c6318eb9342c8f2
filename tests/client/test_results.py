"""Waiting for outcomes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import grpc
import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client import (
    ErrorType,
    ResultExpired,
    TaskCancelled,
    TaskClient,
    TaskFailed,
    TaskNotFound,
    TaskTimeout,
    Unavailable,
    WrongState,
)
from tests.client.conftest import Connect, Serve
from tests.client.scripted import Context, refuse


def ended_with(result: bytes) -> service.GetResultResponse:
    return service.GetResultResponse(
        task=pb.Task(id="t", state=pb.Task.STATE_COMPLETED), result=pb.Payload(json_bytes=result)
    )


def failed(state: pb.Task.State.ValueType, error: pb.TaskError) -> service.GetResultResponse:
    return service.GetResultResponse(task=pb.Task(id="t", state=state), error=error)


def still_running() -> service.GetResultResponse:
    task = pb.Task(id="t", state=pb.Task.STATE_RUNNING)
    return service.GetResultResponse(task=task, wait_timed_out=True)


class Answering:
    """Gives the answers in turn, the last again and again."""

    def __init__(self, *answers: service.GetResultResponse | str) -> None:
        self._answers = list(answers)
        self.requests: list[service.GetResultRequest] = []
        self.time_remaining: list[float] = []

    async def get_result(self, request: service.GetResultRequest, context: Context) -> Any:
        self.requests.append(request)
        self.time_remaining.append(context.time_remaining() or 0)
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        if isinstance(answer, str):
            code = {"SERVER_DRAINING": grpc.StatusCode.UNAVAILABLE}.get(
                answer, grpc.StatusCode.NOT_FOUND
            )
            await refuse(context, code, answer)
        return answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(b"null", None, id="null"),
        pytest.param(b"9223372036854775807", 2**63 - 1, id="64 bits"),
        pytest.param(b'{"a":0.1,"\xc3\xbc":[[]]}', {"a": 0.1, "ü": [[]]}, id="D23 nested"),
    ],
)
async def test_d24_a_result_comes_back_exactly(
    connect: Connect, text: bytes, value: object
) -> None:
    client = await connect(GetResult=Answering(ended_with(text)).get_result)

    assert await client.handle("t").result() == value


async def test_d25_result_asks_again_when_the_servers_longest_wait_is_over(
    connect: Connect,
) -> None:
    server = Answering(still_running(), still_running(), ended_with(b"7"))
    client = await connect(GetResult=server.get_result)

    assert await client.handle("t").result() == 7
    assert len(server.requests) == 3
    assert server.requests[0].payload_format == pb.PAYLOAD_FORMAT_JSON_BYTES
    assert server.requests[0].timeout.ToTimedelta() > timedelta(minutes=4)
    assert server.time_remaining[0] > 300


async def test_d26_the_error_of_a_failed_task_is_raised(connect: Connect) -> None:
    error = pb.TaskError(
        error_type=pb.TaskError.TYPE_RUNTIME,
        exception_class="shop.errors.OutOfStock",
        message="none left",
        traceback="Traceback (most recent call last):\n  somewhere",
        retry_count=2,
    )
    client = await connect(GetResult=Answering(failed(pb.Task.STATE_FAILED, error)).get_result)

    with pytest.raises(TaskFailed, match=r"t failed: shop.errors.OutOfStock: none left") as caught:
        await client.handle("t").result()

    assert caught.value.error.error_type is ErrorType.RUNTIME
    assert caught.value.error.exception_class == "shop.errors.OutOfStock"
    assert caught.value.error.retry_count == 2
    assert "somewhere" in caught.value.__notes__[0]


async def test_a_cancelled_task_raises_what_it_is(connect: Connect) -> None:
    error = pb.TaskError(error_type=pb.TaskError.TYPE_CANCELLED, message="not needed")
    client = await connect(GetResult=Answering(failed(pb.Task.STATE_CANCELLED, error)).get_result)

    with pytest.raises(TaskCancelled, match="not needed"):
        await client.handle("t").result()


def test_a_wait_of_one_second_says_second() -> None:
    assert str(TaskTimeout("t", timedelta(seconds=1))).endswith("within 1 second")


async def test_d27_a_timeout_that_runs_out_is_a_timeout_error(connect: Connect) -> None:
    server = Answering(still_running())
    client = await connect(GetResult=server.get_result)

    with pytest.raises(TimeoutError, match=r"t did not complete within 0.2 seconds"):
        await client.handle("t").result(timeout=timedelta(milliseconds=200))


async def test_d28_a_deadline_that_has_passed_looks_without_waiting(connect: Connect) -> None:
    server = Answering(still_running())
    client = await connect(GetResult=server.get_result)

    with pytest.raises(TimeoutError):
        await client.handle("t").result(deadline=datetime.now(UTC) - timedelta(hours=1))

    (request,) = server.requests
    assert request.timeout.ToTimedelta() == timedelta()


async def test_d28_a_deadline_limits_the_wait(connect: Connect) -> None:
    server = Answering(still_running())
    client = await connect(GetResult=server.get_result)

    with pytest.raises(TimeoutError):
        await client.handle("t").result(deadline=datetime.now(UTC) + timedelta(seconds=0.2))


async def test_d29_timeout_and_deadline_exclude_each_other(connect: Connect) -> None:
    client = await connect()

    with pytest.raises(ValueError, match="either timeout or deadline, not both"):
        await client.handle("t").result(timeout=timedelta(1), deadline=datetime.now(UTC))
    with pytest.raises(ValueError, match="aware"):
        await client.handle("t").result(deadline=datetime.now())
    with pytest.raises(ValueError, match="negative"):
        await client.handle("t").result(timeout=timedelta(-1))
    with pytest.raises(TypeError, match="timeout must be a timedelta, not int"):
        await client.handle("t").result(timeout=3)  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError, match="deadline must be a datetime, not float"):
        await client.handle("t").result(deadline=1e9)  # type: ignore[arg-type]  # the point


async def test_d27_a_timeout_is_kept_to_when_no_server_is_there() -> None:
    async with TaskClient("127.0.0.1:1") as client:
        started = monotonic()
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1: .*Connection refused"):
            await client.gather(client.handle("t"), timeout=timedelta(seconds=1))
        with pytest.raises(Unavailable, match="Connection refused"):
            await client.handle("t").result(timeout=timedelta())

    assert monotonic() - started < 5


async def test_d27_a_timeout_is_kept_to_when_the_server_is_silent(connect: Connect) -> None:
    async def say_nothing(_: service.GetResultRequest, __: Context) -> Any:
        await asyncio.Event().wait()

    client = await connect(GetResult=say_nothing)

    started = monotonic()
    with pytest.raises(Unavailable, match=r"the server at .*:\d+ did not answer in time"):
        await client.handle("t").result(timeout=timedelta(seconds=0.1))
    assert monotonic() - started < 4


async def test_a_wait_goes_on_until_its_very_end(serve: Serve) -> None:
    server = Answering("SERVER_DRAINING")
    running = await serve(GetResult=server.get_result)

    async with TaskClient(running.address) as client:
        started = monotonic()
        with pytest.raises(Unavailable):
            await client.handle("t").result(timeout=timedelta(seconds=2))

    assert monotonic() - started >= 2


@pytest.mark.parametrize("timeout", [timedelta.max, timedelta(days=10_000)])
async def test_d25_a_timeout_may_be_as_long_as_there_are(
    connect: Connect, timeout: timedelta
) -> None:
    client = await connect(GetResult=Answering(ended_with(b"7")).get_result)

    assert await client.handle("t").result(timeout=timeout) == 7


async def test_waiting_survives_a_server_that_drains(connect: Connect) -> None:
    server = Answering(*["SERVER_DRAINING"] * 6, ended_with(b"1"))
    client = await connect(GetResult=server.get_result)

    assert await client.handle("t").result() == 1


async def test_a_large_result_is_downloaded(connect: Connect) -> None:
    async def download(
        _: service.DownloadResultRequest, __: Context
    ) -> AsyncIterator[service.DownloadResultResponse]:
        for chunk in (b"[1,", b"2]"):
            yield service.DownloadResultResponse(chunk=chunk, total_size=5)

    left_out = service.GetResultResponse(task=pb.Task(id="t", state=pb.Task.STATE_COMPLETED))
    client = await connect(GetResult=Answering(left_out).get_result, DownloadResult=download)

    assert await client.handle("t").result() == [1, 2]


class Breaking:
    """A server whose downloads break after one chunk each."""

    def __init__(self, whole: bytes, *uids: str) -> None:
        self._whole = whole
        self._uids = uids
        self.offsets: list[int] = []

    async def get_result(self, _: service.GetResultRequest, __: Context) -> Any:
        return service.GetResultResponse(task=self._task(self._uids[0]))

    async def get_task(self, _: service.GetTaskRequest, __: Context) -> service.GetTaskResponse:
        return service.GetTaskResponse(task=self._task(self._uids[-1]))

    async def download(
        self, request: service.DownloadResultRequest, context: Context
    ) -> AsyncIterator[service.DownloadResultResponse]:
        self.offsets.append(request.offset)
        chunk = self._whole[request.offset : request.offset + 3]
        yield service.DownloadResultResponse(chunk=chunk, total_size=len(self._whole))
        if chunk:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")

    def _task(self, uid: str) -> pb.Task:
        return pb.Task(id="t", uid=uid, state=pb.Task.STATE_COMPLETED)


async def test_a_download_that_breaks_goes_on_where_it_broke(connect: Connect) -> None:
    server = Breaking(b"[1,20,3]", "u")
    client = await connect(
        GetResult=server.get_result, DownloadResult=server.download, GetTask=server.get_task
    )

    assert await client.handle("t").result() == [1, 20, 3]
    assert server.offsets == [0, 3, 6, 8]


async def test_parts_of_two_results_never_become_one(connect: Connect) -> None:
    server = Breaking(b"[1,20,3]", "first", "second")
    client = await connect(
        GetResult=server.get_result, DownloadResult=server.download, GetTask=server.get_task
    )

    with pytest.raises(WrongState, match="executed anew"):
        await client.handle("t").result()


@pytest.mark.parametrize(
    ("reason", "error"),
    [("RESULT_EXPIRED", ResultExpired), ("TASK_NOT_FOUND", TaskNotFound)],
)
async def test_no_outcome_to_wait_for_is_told_at_once(
    connect: Connect, reason: str, error: type[Exception]
) -> None:
    server = Answering(reason)
    client = await connect(GetResult=server.get_result)

    with pytest.raises(error):
        await client.handle("t").result()

    assert len(server.requests) == 1
