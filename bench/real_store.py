"""A store of a measurement's own, as `taskline serve` brings it along: it keeps its data."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from taskline_service.embedded import EmbeddedStore
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url


@asynccontextmanager
async def real_store(namespace: str) -> AsyncIterator[TaskStore]:
    """A store that holds nothing yet, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="taskline-bench-") as folder:
        async with (
            EmbeddedStore.start(Path(folder)) as embedded,
            Redis(parse_redis_url(embedded.url)) as redis,
        ):
            yield TaskStore(redis, Keys(namespace))
