"""`taskline serve` on the store of the run, with all that it logs in a file."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url
from tests.census import remove_keys
from tests.requirements.shell import ROOT, TASKLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A running server."""

    stub: TaskServiceStub
    store: TaskStore
    log: Path

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What it has logged as JSON so far."""
        lines = self.log.read_text("utf-8").split("\n")
        return [json.loads(line) for line in lines if line.startswith('{"time":')]


@asynccontextmanager
async def observed(
    redis_url: str, log: Path, *options: str, environment: dict[str, str] | None = None
) -> AsyncIterator[Observed]:
    """Serve with these options until the block ends; then the log is complete."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TASKLINE_")}
    keys = Keys(f"test-{secrets.token_hex(4)}")
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            TASKLINE,
            *("serve", "--listen", "127.0.0.1:0", "--grace", "1"),
            *("--redis-url", redis_url, "--namespace", keys.namespace),
            *("--log-format", "json", *options),
            cwd=ROOT,
            env={**own, **(environment or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            ready = (await process.stdout.readline()).decode()
        assert ready, f"it did not start, see {log}"
        async with (
            grpc.aio.insecure_channel(ready.split()[-1]) as channel,
            Redis(parse_redis_url(redis_url)) as redis,
        ):
            yield Observed(stub=TaskServiceStub(channel), store=TaskStore(redis, keys), log=log)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        async with Redis(parse_redis_url(redis_url)) as redis:
            await remove_keys(redis, keys)
