"""One service for one test: a server, a worker, and what must happen by the clock."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from taskline_service.limits import MAX_INPUT_BYTES
from taskline_service.rpc import RpcServer
from taskline_service.rpc.subtasks import SubtaskAnswers
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url
from taskline_service.tasks import TaskRegistry
from taskline_service.testing.store import shared_store
from taskline_service.upkeep import Upkeep
from taskline_service.work import end_work
from taskline_service.worker import Worker

# What a test leaves running is interrupted; this is for what ends by itself right away.
_GRACE = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    # For any client: HOST:PORT.
    address: str


@asynccontextmanager
async def serving(
    tasks: TaskRegistry,
    *,
    tasks_at: str | None = None,
    concurrency: int = 16,
    longest_backoff: timedelta | None = None,
) -> AsyncIterator[Service]:
    """Serve these tasks until the block ends, in the event loop of the caller.

    What still runs then is interrupted. Nothing of it is left for the next one.

    Args:
        tasks: What the one worker executes.
        tasks_at: MODULE:ATTRIBUTE of `tasks`, if some need a process of their own.
        concurrency: Tasks at once.
        longest_backoff: Cuts short every wait before a further attempt; all else about
            retries stays as it is.

    Raises:
        ServerNotFound: There is no Valkey or Redis on this machine.
        ValueError: A task needs a process of its own, and there is no `tasks_at`.
    """
    address = parse_redis_url((await asyncio.to_thread(shared_store)).url)
    name = f"test-{secrets.token_hex(8)}"
    async with Redis(address) as redis:
        store = TaskStore(redis, Keys(name))
        upkeep = Upkeep(store)
        answers = SubtaskAnswers(store, address, tasks, max_input_size=MAX_INPUT_BYTES)
        worker = Worker(
            store,
            address,
            tasks,
            worker_id=name,
            concurrency=concurrency,
            longest_backoff=longest_backoff,
            tasks_at=tasks_at,
            answers=answers,
        )
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(loop.run()) for loop in (upkeep, answers)]
            try:
                async with RpcServer(store, address, tasks).serving("127.0.0.1:0") as port:
                    working = group.create_task(worker.run())
                    try:
                        yield Service(f"127.0.0.1:{port}")
                    finally:
                        await end_work(worker, working, _GRACE)
            finally:
                for loop in loops:
                    loop.cancel()
