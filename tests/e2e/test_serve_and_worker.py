"""What an operator sees of a server and its worker in one terminal."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from taskline_service.store import TaskStore
from tests.store.making import enqueue

_ROOT = Path(__file__).parents[2]


@pytest.mark.damages_store
async def test_each_line_tells_its_process_and_what_is_damaged_is_counted(
    store: TaskStore, redis_url: str
) -> None:
    await enqueue(store, "bad")
    line = "sleep:default"
    await store.redis.call("HSET", store.keys.prefix + b"t:bad", "st", "SLEEPING", "ln", line)
    await store.redis.call("ZADD", store.keys.prefix + f"q:{line}".encode(), "1", "bad")
    await store.redis.call("ZADD", store.keys.prefix + b"ready", "1", line)
    server = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("taskline"), "serve", "--listen", "127.0.0.1:0"),
        *("--tasks", "tests.e2e.poison_tasks:tasks", "--redis-url", redis_url, "--workers", "1"),
        *("--namespace", store.keys.namespace),
        cwd=_ROOT,
        env=os.environ | {"OTEL_METRICS_EXPORTER": "console", "OTEL_METRIC_EXPORT_INTERVAL": "300"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    assert server.stderr
    lines, counted = list[str](), None
    async with asyncio.timeout(30):
        while counted is None or not any("ready" in line for line in lines):
            lines.append((await server.stderr.readline()).decode())
            counted = counted or _count_in("".join(lines[-40:]))
        server.terminate()
        lines += (await server.stderr.read()).decode().splitlines()
        await server.wait()

    ending = [line for line in lines if "SIGTERM: ending in order" in line]
    assert counted == 1
    assert [line.split()[3] for line in ending].count("[server") == 1
    assert any(f"[server {server.pid}]" in line for line in ending)
    assert any(re.search(r"INFO \[worker \S+-\d+-\w{4}\] taskline", line) for line in ending)
    told = [line for line in lines if "task bad is damaged" in line]
    assert len(told) == 1 and "[worker " in told[0]


def _count_in(text: str) -> int | None:
    """What the metric says in the output of the console exporter."""
    found = re.search(r'"taskline.store.damaged".*?"value": ([1-9]\d*)', text, re.DOTALL)
    return int(found[1]) if found else None
