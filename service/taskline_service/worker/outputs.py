"""Runs functions that yield: each value becomes an output of the task, as it comes."""

import asyncio
import concurrent.futures
import functools
from collections.abc import Callable
from contextlib import aclosing, closing
from typing import Any

from taskline_service.limits import MAX_OUTPUT_BYTES
from taskline_service.task import Claim
from taskline_service.tasks.definition import TaskDefinition
from taskline_service.worker import threads
from taskline_service.worker.story import StorySender

# A thread that waits for the store looks up this often, so that it can be interrupted.
_LOOK_UP_S = 0.2


class OutputWriter:
    """Emits what the function of one attempt yields."""

    def __init__(self, claim: Claim, definition: TaskDefinition, story: StorySender) -> None:
        self._claim = claim
        self._definition = definition
        self._story = story
        self._loop = asyncio.get_running_loop()

    async def write_all(self, function: Callable[[], Any]) -> Any:
        """Run the function to its end; returns what it returns.

        Raises:
            ResultNotSerializable, ResultTooLarge: A value cannot be kept.
        """
        if not self._definition.is_async:
            name = f"task-{self._claim.task_id}"
            return await threads.run_in_thread(functools.partial(self._drain, function), name=name)
        async with aclosing(function()) as values:
            async for value in values:
                self._emit(value)
                await self._story.room()
        return None

    def _drain(self, function: Callable[[], Any]) -> Any:
        """In a thread."""
        with closing(function()) as values:
            while True:
                try:
                    value = next(values)
                except StopIteration as end:
                    return end.value
                self._emit(value)
                room = asyncio.run_coroutine_threadsafe(self._story.room(), self._loop)
                while not room.done():
                    concurrent.futures.wait([room], timeout=_LOOK_UP_S)

    def _emit(self, value: Any) -> None:
        data = self._definition.dump_output(value, max_size=MAX_OUTPUT_BYTES)
        self._story.emit(self._claim, data)
