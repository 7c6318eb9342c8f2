"""A service for tests that have no event loop, or block theirs."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from typing import Any

from taskline_service.tasks import TaskRegistry
from taskline_service.testing.service import Service, serving


@contextmanager
def serving_in_thread(
    tasks: TaskRegistry,
    *,
    tasks_at: str | None = None,
    concurrency: int = 16,
    longest_backoff: timedelta | None = None,
) -> Iterator[Service]:
    """As `serving`, in a thread with an event loop of its own: tasks run there."""
    serve = _Serving(
        serving(
            tasks,
            tasks_at=tasks_at,
            concurrency=concurrency,
            longest_backoff=longest_backoff,
        )
    )
    with ThreadPoolExecutor(1, thread_name_prefix="taskline-testing") as thread:
        ended = thread.submit(lambda: asyncio.run(serve.run()))
        # Its error, if it does not start.
        both: list[Future[Any]] = [serve.started, ended]
        wait(both, return_when=FIRST_COMPLETED)
        if ended.done():
            ended.result()
        try:
            yield serve.started.result()
        finally:
            serve.end()
            ended.result()


class _Serving:
    def __init__(self, service: AbstractAsyncContextManager[Service]) -> None:
        self._service = service
        self.started: Future[Service] = Future()

    async def run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with self._service as running:
            self.started.set_result(running)
            await self._over.wait()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
