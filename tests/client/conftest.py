"""A scripted server per test, and a client of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from taskline_client import TaskClient
from tests.client.scripted import ScriptedServer

Serve = Callable[..., Awaitable[ScriptedServer]]
Connect = Callable[..., Awaitable[TaskClient]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server with the given methods."""
    async with AsyncExitStack() as running:

        async def start(**methods: Any) -> ScriptedServer:
            server = ScriptedServer(**methods)
            await server.start()
            running.push_async_callback(server.stop)
            return server

        yield start


@pytest.fixture
async def connect(serve: Serve) -> AsyncIterator[Connect]:
    """Starts a server with the given methods, and gives a client of it."""
    async with AsyncExitStack() as running:

        async def start(**methods: Any) -> TaskClient:
            server = await serve(**methods)
            return await running.enter_async_context(TaskClient(server.address))

        yield start
