"""Where a store can be: TCP, TLS and unix sockets, with a password and a database number."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from taskline_service.errors import StoreUnavailable
from taskline_service.store import InvalidRedisUrl, Redis, parse_redis_url

# Self-signed, for localhost, and of no use anywhere else.
TLS = Path(__file__).with_name("tls")


@asynccontextmanager
async def front(redis_url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listens on a TCP port in front of the store's unix socket, with or without TLS."""
    path = parse_redis_url(redis_url).path

    connections = set[asyncio.Task[None]]()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
        sink.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(cast("asyncio.Task[None]", asyncio.current_task()))
        store_reader, store_writer = await asyncio.open_unix_connection(path)
        await asyncio.gather(pump(reader, store_writer), pump(store_reader, writer))
        for sink in (store_writer, writer):
            with contextlib.suppress(ConnectionError):
                await sink.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*connections)


async def test_d49_a_store_can_be_reached_over_tcp_in_another_database(redis_url: str) -> None:
    async with (
        front(redis_url) as port,
        Redis(parse_redis_url(f"redis://127.0.0.1:{port}/3")) as redis,
        Redis(parse_redis_url(f"{redis_url}?db=3")) as same,
    ):
        await redis.call(b"SET", b"probe", b"1")

        assert await same.call(b"GETDEL", b"probe") == b"1"


async def test_tls_verifies_the_certificate(redis_url: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    async with front(redis_url, context) as port:
        trusted = f"rediss://localhost:{port}/0?ca_file={TLS / 'cert.pem'}"
        async with Redis(parse_redis_url(trusted)) as redis:
            assert await redis.call(b"PING") == b"PONG"

        with pytest.raises(StoreUnavailable, match="certificate"):
            async with Redis(parse_redis_url(f"rediss://localhost:{port}")):
                pass


async def test_a_wrong_password_is_told_without_repeating_it(redis_url: str) -> None:
    async with front(redis_url) as port:
        address = parse_redis_url(f"redis://nobody:s3cret@127.0.0.1:{port}")

        with pytest.raises(StoreUnavailable, match="WRONGPASS") as refused:
            async with Redis(address):
                pass

    assert "s3cret" not in str(refused.value) + repr(address) + str(address)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://localhost", id="another scheme"),
        pytest.param("redis://", id="no host"),
        pytest.param("redis://localhost:port", id="a port that is no number"),
        pytest.param("redis://localhost/db", id="a database that is no number"),
        pytest.param("redis://localhost?timeout=3", id="an unknown option"),
        pytest.param("localhost:6379", id="no scheme"),
        pytest.param("rediss://localhost?ca_file=/does/not/exist", id="no such CA file"),
    ],
)
def test_what_is_no_redis_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRedisUrl):
        parse_redis_url(url)
