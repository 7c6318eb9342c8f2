"""The fault proxy does what it says: the tests of faults stand on it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from taskline_service.errors import StoreUnavailable
from taskline_service.store import Redis, TaskStore, parse_redis_url
from taskline_service.store.connection import Connection
from tests.faults.proxy import Proxy


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(parse_redis_url(redis_url)) as proxy:
        yield proxy


async def connected(proxy: Proxy, *, reply_timeout: float = 30) -> Connection:
    """A connection that is not opened again."""
    return await Connection.open(
        parse_redis_url(proxy.url), name="test", reply_timeout=reply_timeout
    )


async def took(proxy: Proxy) -> float:
    """Seconds that a call takes through it."""
    connection = await connected(proxy)
    began = time.monotonic()
    assert await connection.call(b"PING") == b"PONG"
    seconds = time.monotonic() - began
    connection.abort()
    return seconds


async def test_without_faults_it_is_not_noticed(proxy: Proxy) -> None:
    connection = await connected(proxy)

    answers = await asyncio.gather(*(connection.call(b"ECHO", b"%d" % i) for i in range(1000)))

    assert answers == [b"%d" % i for i in range(1000)]
    assert proxy.connections == 1
    connection.abort()
    await connection.closed


async def test_latency_is_added_to_each_way_and_does_not_limit_how_many_calls_are_under_way(
    proxy: Proxy,
) -> None:
    proxy.latency_s, proxy.jitter_s = 0.05, 0.01
    assert await took(proxy) >= 0.1
    connection = await connected(proxy)
    began = time.monotonic()
    calls = list[asyncio.Future[bytes]]()
    for i in range(100):
        calls.append(connection.send(b"ECHO", b"%d" % i))
        await asyncio.sleep(0)
    assert await asyncio.gather(*calls) == [b"%d" % i for i in range(100)]
    assert time.monotonic() - began < 5  # one after the other they would take ten seconds
    connection.abort()


async def test_bandwidth_is_limited(proxy: Proxy) -> None:
    connection = await connected(proxy)
    proxy.bytes_per_s = 100_000
    began = time.monotonic()

    assert len(await connection.call(b"ECHO", b"x" * 20_000)) == 20_000

    assert time.monotonic() - began >= 0.4  # there and back
    connection.abort()


async def test_what_is_split_arrives_whole(proxy: Proxy) -> None:
    proxy.split = True
    connection = await connected(proxy)

    assert await connection.call(b"ECHO", b"x" * 1000) == b"x" * 1000
    connection.abort()


@pytest.mark.parametrize("after", [0, 5])
async def test_a_request_that_is_cut_is_not_carried_out(
    proxy: Proxy, store: TaskStore, after: int
) -> None:
    key = store.keys.prefix + b"rev"
    connection = await connected(proxy)
    proxy.cut_request(of=b"INCR", after=after)

    assert await connection.call(b"PING") == b"PONG"  # another one passes
    with pytest.raises(StoreUnavailable):
        await connection.call(b"INCR", key)

    assert await store.redis.call(b"GET", key) is None
    assert proxy.cuts == 1


@pytest.mark.parametrize("after", [0, 1])
async def test_a_request_whose_reply_is_cut_has_been_carried_out(
    proxy: Proxy, store: TaskStore, after: int
) -> None:
    key = store.keys.prefix + b"rev"
    connection = await connected(proxy)
    proxy.cut_reply(of=b"INCR", after=after)

    with pytest.raises(StoreUnavailable):
        await connection.call(b"INCR", key)

    assert await store.redis.call(b"GET", key) == b"1"
    assert proxy.cuts == 1


async def test_a_reset_ends_every_connection_and_new_ones_work(proxy: Proxy) -> None:
    connection = await connected(proxy)
    waiting = connection.send(b"BLPOP", b"nothing", b"0")
    await connected(proxy)

    proxy.reset()

    with pytest.raises(StoreUnavailable):
        await waiting
    await connection.closed
    assert await took(proxy) < 5


async def test_a_half_open_connection_stays_and_is_silent_while_new_ones_work(
    proxy: Proxy,
) -> None:
    connection = await connected(proxy, reply_timeout=0.3)
    proxy.half_open()
    answer = connection.send(b"PING")

    assert await took(proxy) < 5
    assert connection.alive
    with pytest.raises(StoreUnavailable):  # only its own patience ends it
        await answer


async def test_a_blackhole_lets_connect_and_passes_nothing_until_it_heals(proxy: Proxy) -> None:
    old = await connected(proxy)
    proxy.blackhole()
    answer = old.send(b"PING")
    connecting = asyncio.create_task(connected(proxy))
    _, waiting = await asyncio.wait([answer, connecting], timeout=0.2)
    assert len(waiting) == 2

    proxy.heal()

    assert await answer == b"PONG"
    assert await (await connecting).call(b"PING") == b"PONG"


async def test_what_refuses_connections_accepts_them_again_at_the_same_place(proxy: Proxy) -> None:
    url = proxy.url
    proxy.refuse()
    redis = Redis(parse_redis_url(url))
    with pytest.raises(StoreUnavailable):
        await redis.call(b"PING", patience=0.1)

    await proxy.accept()

    assert proxy.url == url
    assert await redis.call(b"PING", patience=10) == b"PONG"
    await redis.close()


async def test_proxies_do_not_know_of_each_other(proxy: Proxy, redis_url: str) -> None:
    async with Proxy(parse_redis_url(redis_url)) as other:
        proxy.blackhole()

        assert await took(other) < 5
