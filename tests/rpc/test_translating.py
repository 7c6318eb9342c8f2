"""Long results, in the form that is asked for, while there is much to translate."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service.offload import LARGE_BYTES, in_thread
from taskline_service.rpc import translating
from taskline_service.rpc.translating import ResultTranslation
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion
from tests.stack import Stack
from tests.store.making import claimed

LONG = b"[%s1]" % (b"1," * LARGE_BYTES)


@asynccontextmanager
async def _much_to_translate() -> AsyncIterator[None]:
    enough = threading.Event()
    busy = asyncio.create_task(in_thread(enough.wait, 60))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        enough.set()
        await busy


@pytest.mark.parametrize(
    "payload_format", [pb.PAYLOAD_FORMAT_JSON_BYTES, pb.PAYLOAD_FORMAT_MESSAGE]
)
async def test_what_goes_out_as_it_is_stored_waits_for_no_translation(
    stack: Stack, payload_format: pb.PayloadFormat.ValueType
) -> None:
    await stack.store.complete([Completion(await claimed(stack.store, "a"), LONG)])
    request = service.GetResultRequest(task_id="a", payload_format=payload_format)

    async with _much_to_translate():
        answer = await stack.stub.GetResult(request, timeout=10)

    assert answer.result.json_bytes == LONG


async def test_a_long_result_is_translated_once_for_all_who_ask_for_it_at_the_same_time(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.complete([Completion(await claimed(store, "a"), LONG)])
    task, result = await store.get_outcome("a")
    assert result == LONG
    translated = list[bytes]()

    def count(data: bytes, *_: object, **__: object) -> pb.Payload:
        translated.append(data)
        return pb.Payload()

    monkeypatch.setattr(translating, "json_bytes_to_payload", count)
    translation = ResultTranslation()

    async with _much_to_translate():
        asking = [
            asyncio.create_task(translation.of(task, result, pb.PAYLOAD_FORMAT_JSON))
            for _ in range(100)
        ]
        await asyncio.sleep(0)
        asking[0].cancel()  # others are not held up by who goes away
    answers = await asyncio.gather(*asking[1:])

    assert answers == [pb.Payload()] * 99
    assert translated == [LONG]
    assert await translation.of(task, result, pb.PAYLOAD_FORMAT_JSON) == pb.Payload()
    assert len(translated) == 2
