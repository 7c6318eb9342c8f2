"""Requests that are malformed, too large or too deep: refused whole, at no cost to the server."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection_pb2

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service.errors import InvalidInput, PayloadTooLarge
from taskline_service.limits import MAX_INPUT_BYTES, MAX_METADATA_BYTES, MIB
from tests.census import all_keys
from tests.requirements.shell import serving
from tests.stack import Stack

ENQUEUE = "/taskline.v1.TaskService/Enqueue"
GET_TASK = "/taskline.v1.TaskService/GetTask"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
async def served(stack: Stack) -> Stack:
    @stack.tasks.task("work")
    async def work(value: Any = None) -> None: ...

    return stack


async def send(
    address: str, method: str, data: bytes, **options: Any
) -> grpc.aio.AioRpcError | None:
    """Send bytes to a method; returns its error, if it has one."""
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(method)
        try:
            await call(data, timeout=20, **options)
        except grpc.aio.AioRpcError as error:
            return error
    return None


def reason_of(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    trailers: Any = dict(error.trailing_metadata())
    for detail in status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details:
        detail.Unpack(info)
    return str(info.reason)


def varint(number: int) -> bytes:
    written = b""
    while number > 127:
        written, number = written + bytes([number & 127 | 128]), number >> 7
    return written + bytes([number])


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field on the wire."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def nested(levels: int, *, of: str) -> bytes:
    """An EnqueueRequest whose input has this many lists, or objects, in each other."""
    value = b"\x08\x00"  # null
    for _ in range(levels):
        inner = field(1, value) if of == "lists" else field(1, field(1, b"k") + field(2, value))
        value = field(6 if of == "lists" else 5, inner)
    return field(1, b"work") + field(2, field(1, value))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x0a\x05ab", id="cut short"),
        pytest.param(b"\x0a\x02\xc3\x28", id="not UTF-8"),
        pytest.param(b"\x0a\x03\xed\xa0\x80", id="a lone surrogate"),
        pytest.param(b"\x0c", id="the end of a group that never began"),
        pytest.param(b"\xff" * 20, id="a tag that does not end"),
        pytest.param(nested(60, of="lists"), id="60 lists deep"),
        pytest.param(nested(60, of="objects"), id="60 objects deep"),
        pytest.param(nested(5_000, of="lists"), id="5,000 lists deep"),
        pytest.param(
            field(1, b"work") + field(2, field(2, b"[" * 5_000 + b"]" * 5_000)), id="json"
        ),
    ],
)
async def test_what_cannot_be_read_is_the_callers_fault_and_writes_nothing(
    served: Stack, data: bytes
) -> None:
    before = await all_keys(served.store.redis, served.store.keys)

    error = await send(served.address, ENQUEUE, data)

    assert error is not None
    assert (error.code(), reason_of(error)) == (INVALID, InvalidInput.reason)
    assert await all_keys(served.store.redis, served.store.keys) == before


@pytest.mark.parametrize("method", ["Check", "Watch", "List"])
async def test_what_asks_for_health_and_cannot_be_read_is_the_callers_fault(
    served: Stack, method: str
) -> None:
    async with grpc.aio.insecure_channel(served.address) as channel:
        make: Any = channel.unary_stream if method == "Watch" else channel.unary_unary
        call = make(f"/grpc.health.v1.Health/{method}")(b"\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call.read() if method == "Watch" else call)

    assert caught.value.code() is INVALID


async def test_what_asks_for_reflection_and_cannot_be_read_is_told_so(served: Stack) -> None:
    async with grpc.aio.insecure_channel(served.address) as channel:
        make: Any = channel.stream_stream
        call = make("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")()
        await call.write(b"\xff")
        answer = reflection_pb2.ServerReflectionResponse.FromString(await call.read())
        call.cancel()

    assert answer.error_response.error_code == INVALID.value[0]


async def test_a_megabyte_of_fields_of_a_later_version_is_passed_over(served: Stack) -> None:
    data = field(1, b"work") + field(3, b"t") + field(1000, b"x" * MIB)

    assert await send(served.address, ENQUEUE, data) is None

    stored = await served.store.redis.call(b"STRLEN", served.store.keys.prefix + b"s:t")
    assert stored < 1000


@pytest.mark.parametrize(
    ("size", "accepted"),
    [
        pytest.param(MAX_INPUT_BYTES - 1, True, id="one less"),
        pytest.param(MAX_INPUT_BYTES, True, id="the limit"),
        pytest.param(MAX_INPUT_BYTES + 1, False, id="one more"),
        pytest.param(5 * MIB, False, id="more than gRPC takes by default"),
    ],
)
async def test_an_input_may_be_as_large_as_its_limit(
    served: Stack, size: int, accepted: bool
) -> None:
    text = b'{"value":"' + b"x" * (size - 12) + b'"}'
    request = pb.EnqueueRequest(
        task_type="work", task_id="t", input=task_pb2.Payload(json_bytes=text)
    )
    before = await all_keys(served.store.redis, served.store.keys)

    error = await send(served.address, ENQUEUE, request.SerializeToString())

    if accepted:
        assert error is None
        assert (await served.store.get("t")).input_size == size
    else:
        assert error is not None
        assert (error.code(), reason_of(error)) == (INVALID, PayloadTooLarge.reason)
        assert await all_keys(served.store.redis, served.store.keys) == before


async def test_a_message_beyond_all_sense_is_refused_unread(served: Stack) -> None:
    error = await send(served.address, ENQUEUE, field(15, b"x" * (20 * MIB)))

    assert error is not None and error.code() is EXHAUSTED


@pytest.mark.parametrize("size", [2 * MAX_METADATA_BYTES, 40 * 1024, 200 * 1024])
async def test_metadata_has_a_limit(served: Stack, size: int) -> None:
    request = pb.EnqueueRequest(task_type="work").SerializeToString()

    error = await send(served.address, ENQUEUE, request, metadata=[("x-much", "y" * size)])

    assert error is not None and error.code() is EXHAUSTED


async def test_metadata_below_its_limit_is_always_taken(served: Stack) -> None:
    request = pb.EnqueueRequest(task_type="work").SerializeToString()
    metadata = [("x-much", "y" * (MAX_METADATA_BYTES - 1024))]

    # By default, gRPC refuses some of those between a soft and a hard limit, by chance.
    for _ in range(20):
        assert await send(served.address, ENQUEUE, request, metadata=metadata) is None


@pytest.mark.parametrize(
    "traceparent",
    ["", "garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff-" + "a" * 5000, "00-ü-1-1"[:3]],
)
async def test_a_trace_context_that_is_none_is_passed_over(served: Stack, traceparent: str) -> None:
    request = pb.EnqueueRequest(task_type="work", task_id="t").SerializeToString()
    metadata = [("traceparent", traceparent), ("tracestate", "=,=,"), ("junk-bin", b"\xff\x00")]

    assert await send(served.address, ENQUEUE, request, metadata=metadata) is None

    assert served_trace(await served.store.get("t")) == ""


def served_trace(task: Any) -> str:
    return str(task.spec.trace.get("traceparent", ""))


def serving_in(data_dir: Path) -> int:
    """The process that serves from this directory."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if {b"serve", bytes(data_dir)} <= set(cmdline.read_bytes().split(b"\0")):
                return int(cmdline.parent.name)
    raise AssertionError(f"nobody serves from {data_dir}")


@pytest.fixture
async def apart(tmp_path: Path) -> AsyncIterator[tuple[str, int]]:
    """A server in a process of its own: its address, and its process id."""
    async with serving(tmp_path) as address:
        yield address, serving_in(tmp_path)


def peak_kb(pid: int) -> int:
    """The most memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure memory")
async def test_a_decompression_bomb_is_refused_before_it_unfolds(apart: tuple[str, int]) -> None:
    address, pid = apart
    assert await send(address, GET_TASK, b"") is not None  # all is loaded
    before = peak_kb(pid)

    bomb = field(15, bytes(64 * MIB))
    for _ in range(4):
        error = await send(address, ENQUEUE, bomb, compression=grpc.Compression.Gzip)
        assert error is not None and error.code() is EXHAUSTED

    assert peak_kb(pid) - before < 24 * 1024
