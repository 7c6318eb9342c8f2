"""Whatever bytes a caller sends: what is wrong is refused as such, and nothing is written."""

import asyncio
import base64
import secrets
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskline.v1 import admin_service_pb2 as admin_pb
from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc import tokens
from taskline_service.rpc.tokens import FilterPosition, Position
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url
from taskline_service.store.values import Completion
from tests.census import all_keys, remove_keys
from tests.stack import Stack
from tests.store.making import claimed

METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in (pb.DESCRIPTOR, admin_pb.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
}

OK, WRONG = grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT
# What a caller may be told who is not wrong: of tasks that there are not, or not in this state,
# and of positions that are no longer kept.
ANSWERS = {
    OK,
    WRONG,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
}
# Streams that go on, and waits: after a while they are right, or what is wrong has been told.
GO_ON = ("Watch", "Run", "GetResult")
ENOUGH_S = 0.15
SETTINGS = settings(
    max_examples=settings().max_examples // 2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

KNOWN = "known"
# Whoever knows how tokens are made can make any.
FORGED = [
    tokens.page_token("queues", "a"),
    *(tokens.page_token(of, "\ud800") for of in ("queues", "workers", "task types")),
    tokens.page_token(f"events of {KNOWN}", 10**30, ""),
    tokens.page_token(f"events of {KNOWN}", -(10**30), ""),
    tokens.page_token(repr(([], True, 0, 0)), 10**30, KNOWN),
    tokens.page_token(repr(([], True, 0, 0)), 5, "\ud800"),
    base64.urlsafe_b64encode(b"123456" + b"[" * 3_000).decode(),
    base64.urlsafe_b64encode(b"123456" + b"[" * 100_000).decode(),
    *(tokens.task_token(KNOWN, revision) for revision in (0, 2**53, 2**63, 2**64 - 1)),
    tokens.resume_token(tokens.subscription([KNOWN]), Position(1, 7, 2**16 - 1, (2**16 - 1,))),
    *(
        tokens.filter_token(tokens.filter_subscription((), (), {}), position)
        for position in (
            FilterPosition(0),
            FilterPosition(2**64 - 1),
            FilterPosition(2**63),
            FilterPosition(1, 0, 2**64 - 1),
            FilterPosition(1, 0, 1, (b"forged",)),
        )
    ),
]
TEXTS = (
    st.sampled_from([KNOWN, "work", "", "{x}:", "*", "\n", "\0", "../", "x" * 10_000, "\u202e"])
    | st.sampled_from(FORGED)
    | st.text(max_size=20)
)
NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(-1, 9),
}


@st.composite
def messages(draw: st.DrawFn, kind: Descriptor, depth: int = 5) -> Message:
    """A message of this kind with anything in it."""
    message: Any = GetMessageClass(kind)()
    for field in (
        draw(st.lists(st.sampled_from(list(kind.fields)), max_size=5)) if kind.fields else ()
    ):
        _fill(draw, message, field, depth)
    return message  # type: ignore[no-any-return]


def _fill(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    if field.message_type and field.message_type.GetOptions().map_entry:
        _fill_map(draw, message, field, depth)
    elif field.message_type and depth:
        for _ in range(draw(st.integers(1, 2)) if field.is_repeated else 1):
            value = draw(messages(field.message_type, depth - 1))
            part = getattr(message, field.name)
            (part.add() if field.is_repeated else part).CopyFrom(value)
    elif not field.message_type:
        values = _scalars(field)
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values, max_size=3)))
        else:
            setattr(message, field.name, draw(values))


def _fill_map(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    assert field.message_type is not None
    entry = field.message_type.fields_by_name["value"]
    key, part = draw(TEXTS), getattr(message, field.name)
    if not entry.message_type:
        part[key] = draw(_scalars(entry))
    elif depth:
        part[key].CopyFrom(draw(messages(entry.message_type, depth - 1)))


def _scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_STRING:
            return TEXTS
        return st.sampled_from([b"{}", b"[" * 9999, b'"\\ud800"', b"1e999"]) | st.binary()
    return NUMBERS[field.cpp_type]


@st.composite
def requests(draw: st.DrawFn, kind: Descriptor) -> bytes:
    """Bytes that are a request, or were one before somebody changed them."""
    data = bytearray(draw(messages(kind)).SerializeToString())
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data)


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs what it is given; in between the server stands still, and chance is hypothesis'."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def stack(run: Callable[[Coroutine[Any, Any, Any]], Any], redis_url: str) -> Iterator[Stack]:
    """A server that knows a task type, and a task that has ended."""
    stop = asyncio.Event()

    async def serve(ready: asyncio.Future[Stack]) -> None:
        address = parse_redis_url(redis_url)
        keys = Keys(f"fuzz-{secrets.token_hex(4)}")
        async with Redis(address) as redis:
            store = TaskStore(redis, keys)
            async with Stack.running(store, address) as stack:
                await stack.store.complete([Completion(await claimed(store, KNOWN), b'"done"')])
                ready.set_result(stack)
                await stop.wait()
            await remove_keys(redis, keys)

    async def begin() -> tuple[asyncio.Task[None], Stack]:
        ready = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(ready))
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
        return serving, await ready

    async def end(serving: asyncio.Task[None]) -> None:
        stop.set()
        await serving

    serving, stack = run(begin())

    @stack.tasks.task("work")  # type: ignore[untyped-decorator]
    async def work(anything: Any = None) -> None: ...

    yield stack
    run(end(serving))


async def answer(channel: grpc.aio.Channel, method: str, data: bytes) -> grpc.StatusCode:
    """What comes of these bytes."""
    call: Any = channel.unary_stream if METHODS[method].server_streaming else channel.unary_unary
    call = call(method)(data)
    try:
        async with asyncio.timeout(ENOUGH_S if method.endswith(GO_ON) else 30):
            await (call.read() if METHODS[method].server_streaming else call)
    except TimeoutError:
        if not method.endswith(GO_ON):
            raise
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()
    return OK


async def census(stack: Stack) -> list[str]:
    """Tasks and paused queues; of other keys, upkeep makes and removes some all the time."""
    names = await all_keys(stack.store.redis, stack.store.keys)
    return [name for name in names if name.startswith(("t:", "s:", "paused"))]


async def ask_and_check(stack: Stack, method: str, data: bytes) -> None:
    """What is wrong with the bytes is the caller's fault, and leaves nothing behind."""
    before = await census(stack)
    async with grpc.aio.insecure_channel(stack.address) as channel:
        code = await answer(channel, method, data)
    assert code in ANSWERS
    if code is not OK:
        assert await census(stack) == before


@pytest.mark.parametrize("token", FORGED, ids=lambda token: token[:10])
@pytest.mark.parametrize(
    ("method", "request_of"),
    [
        ("TaskService/ListTasks", lambda t: pb.ListTasksRequest(page_token=t)),
        (
            "TaskService/ListTaskEvents",
            lambda t: pb.ListTaskEventsRequest(task_id=KNOWN, page_token=t),
        ),
        ("TaskService/ListTaskTypes", lambda t: pb.ListTaskTypesRequest(page_token=t)),
        ("AdminService/ListQueues", lambda t: admin_pb.ListQueuesRequest(page_token=t)),
        ("AdminService/ListWorkers", lambda t: admin_pb.ListWorkersRequest(page_token=t)),
        ("TaskService/Watch", lambda t: pb.WatchRequest(task_ids=[KNOWN], resume_token=t)),
        ("TaskService/Watch", lambda t: pb.WatchRequest(filter=pb.TaskFilter(), resume_token=t)),
    ],
)
def test_a_forged_token_leads_nowhere(
    run: Callable[[Coroutine[Any, Any, Any]], Any],
    stack: Stack,
    method: str,
    request_of: Callable[[str], Message],
    token: str,
) -> None:
    request = request_of(token)
    run(ask_and_check(stack, f"/taskline.v1.{method}", request.SerializeToString()))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.rpartition("/")[2])
def test_a_wrong_request_is_told_so_and_writes_nothing(
    run: Callable[[Coroutine[Any, Any, Any]], Any], stack: Stack, method: str
) -> None:
    @SETTINGS
    @given(requests(METHODS[method].input_type) | st.binary())
    def check(data: bytes) -> None:
        run(ask_and_check(stack, method, data))

    check()
