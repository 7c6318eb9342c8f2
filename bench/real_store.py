"""A Valkey or Redis server of a measurement's own."""

import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from taskline_service.die_with_parent import wrapped
from taskline_service.embedded.binary import find_server
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url

PATIENCE_S = 10


@asynccontextmanager
async def real_store(namespace: str) -> AsyncIterator[TaskStore]:
    """A store that holds nothing yet, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="taskline-bench-") as folder:
        socket = Path(folder) / "store.sock"
        options = ("--port", "0", "--unixsocket", str(socket), "--dir", folder, "--save", "")
        with subprocess.Popen(  # noqa: ASYNC220  # nothing else runs yet
            wrapped(str(find_server()), *options), stdout=subprocess.DEVNULL
        ) as server:
            redis = Redis(parse_redis_url(f"unix://{socket}"))
            try:
                await redis.call(b"PING", patience=PATIENCE_S)
                yield TaskStore(redis, Keys(namespace))
            finally:
                await redis.close()
                server.terminate()
