"""What running tasks ask for: that others are enqueued, and to wait for them."""

import asyncio
import concurrent.futures
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from taskline_service.tasks.subtasks import Answer, AwaitEnd, Question
from taskline_service.worker.slots import Slot

# A thread that waits looks up this often, so that it can be interrupted.
_LOOK_UP_S = 0.2


class Answers(Protocol):
    """Knows the answers; the part of a server that a worker needs for its own tasks."""

    async def answer(self, question: Question, trace: Mapping[str, str]) -> Answer:
        """Do what is asked, within this trace."""


class NoAnswers:
    """For workers whose tasks cannot have others."""

    async def answer(self, question: Question, trace: Mapping[str, str]) -> Answer:
        """Refuse."""
        return Answer(refused=("UNIMPLEMENTED", "this worker enqueues no tasks"))


class Asking:
    """The questions of one attempt. Make it on the event loop."""

    def __init__(
        self, answers: Answers, slot: Slot, trace: Callable[[], Mapping[str, str]]
    ) -> None:
        self._answers = answers
        self._slot = slot
        self._current_trace = trace
        self._trace: Mapping[str, str] = {}
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._open: set[asyncio.Task[Any]] = set()

    def begun(self) -> None:
        """The code begins to run, within the trace of now."""
        self._trace = self._current_trace()

    async def ask(self, question: Question) -> Answer:
        """Answer; while it waits for a task, the attempt lends its slot."""
        asker = asyncio.current_task()
        assert asker is not None
        self._open.add(asker)
        try:
            if not isinstance(question, AwaitEnd):
                return await self._answers.answer(question, self._trace)
            async with self._slot.lent():
                return await self._answers.answer(question, self._trace)
        finally:
            self._open.discard(asker)

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """For the thread of a plain function: have the event loop await it."""
        if threading.get_ident() == self._thread:
            if inspect.iscoroutine(awaitable):
                awaitable.close()  # else it would be told that it was never awaited
            raise RuntimeError("wait_for is for plain functions: await it instead")

        async def wait() -> Any:
            return await awaitable

        waiting = asyncio.run_coroutine_threadsafe(wait(), self._loop)
        try:
            while not waiting.done():
                concurrent.futures.wait([waiting], timeout=_LOOK_UP_S)
        except BaseException:  # interrupted
            waiting.cancel()
            raise
        return waiting.result()

    def end(self) -> None:
        """The attempt is over: what its code left behind waits no longer."""
        self._slot.end()
        for each in self._open:
            each.cancel()
