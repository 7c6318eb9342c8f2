"""A slow link to the store is told from a store that is gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from taskline_service.errors import StoreUnavailable
from taskline_service.store import TaskStore, parse_redis_url
from taskline_service.store.connection import Connection
from tests.faults.proxy import Proxy

_PATIENCE_S = 0.3
_LARGE = b"x" * 2_000_000


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(parse_redis_url(redis_url)) as proxy:
        yield proxy


@pytest.fixture
async def connection(proxy: Proxy) -> AsyncIterator[Connection]:
    address = parse_redis_url(proxy.url)
    connection = await Connection.open(address, name="test", reply_timeout=_PATIENCE_S)
    yield connection
    connection.abort()
    await connection.closed


@pytest.fixture
async def slow_to_read(proxy: Proxy, store: TaskStore) -> AsyncIterator[bytes]:
    """A key whose value takes longer than our patience to arrive."""
    key = store.keys.prefix + b"rev"
    await store.redis.call(b"SET", key, _LARGE)
    proxy.bytes_per_s = len(_LARGE) / (3 * _PATIENCE_S)
    yield key
    await store.redis.call(b"DEL", key)


async def test_what_takes_longer_than_our_patience_to_send_arrives(
    proxy: Proxy, connection: Connection
) -> None:
    proxy.bytes_per_s = len(_LARGE) / (3 * _PATIENCE_S)

    size = await connection.call(b"EVAL", b"return #ARGV[1]", b"0", _LARGE)

    assert size == len(_LARGE)


async def test_an_answer_that_takes_longer_than_our_patience_to_arrive_is_had(
    connection: Connection, slow_to_read: bytes
) -> None:
    assert await connection.call(b"GET", slow_to_read) == _LARGE


async def test_an_answer_that_breaks_off_is_not_waited_for(
    proxy: Proxy, connection: Connection, slow_to_read: bytes
) -> None:
    answer = connection.send(b"GET", slow_to_read)
    await asyncio.wait([answer], timeout=_PATIENCE_S)

    proxy.half_open()

    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(answer, 10 * _PATIENCE_S)


async def test_much_that_was_sent_and_answered_does_not_make_us_patient(
    proxy: Proxy, connection: Connection
) -> None:
    for _ in range(10):
        await connection.call(b"EVAL", b"return #ARGV[1]", b"0", _LARGE)

    proxy.half_open()

    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(connection.send(b"PING"), 10 * _PATIENCE_S)
