"""Waiting for several tasks at once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, overload

from taskline_client._results import longest_wait
from taskline_client.errors import TasklineError
from taskline_client.handle import TaskHandle

R = TypeVar("R")
R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")
R4 = TypeVar("R4")


class Gathering:
    """The part of TaskClient that waits for several tasks."""

    @overload
    async def gather(
        self,
        first: TaskHandle[R1],
        second: TaskHandle[R2],
        /,
        *,
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R1, R2]: ...
    @overload
    async def gather(
        self,
        first: TaskHandle[R1],
        second: TaskHandle[R2],
        third: TaskHandle[R3],
        /,
        *,
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R1, R2, R3]: ...
    @overload
    async def gather(
        self,
        first: TaskHandle[R1],
        second: TaskHandle[R2],
        third: TaskHandle[R3],
        fourth: TaskHandle[R4],
        /,
        *,
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R1, R2, R3, R4]: ...
    @overload
    async def gather(
        self,
        *handles: TaskHandle[R],
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R, ...]: ...
    @overload
    async def gather(
        self,
        first: TaskHandle[R1],
        second: TaskHandle[R2],
        /,
        *,
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[True],
    ) -> tuple[R1 | TasklineError, R2 | TasklineError]: ...
    @overload
    async def gather(
        self,
        first: TaskHandle[R1],
        second: TaskHandle[R2],
        third: TaskHandle[R3],
        /,
        *,
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[True],
    ) -> tuple[R1 | TasklineError, R2 | TasklineError, R3 | TasklineError]: ...
    @overload
    async def gather(
        self,
        *handles: TaskHandle[R],
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[True],
    ) -> tuple[R | TasklineError, ...]: ...
    async def gather(
        self,
        *handles: TaskHandle[Any],
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: bool = False,
    ) -> tuple[Any, ...]:
        """Wait for all of the tasks; their results, in the order of the handles.

        Args:
            handles: May be of several clients.
            timeout: The longest wait for all of them; 5 minutes if neither is given.
            deadline: Wait until then at most (aware).
            return_exceptions: Wait for every task, and have the error of one that fails in
                its place.

        Raises:
            TasklineError: What `TaskHandle.result` raises for the first task that fails for
                good, at once. The others go on; wait for them again if you want them.
            ValueError: Both timeout and deadline, or one that means nothing.
        """
        wait = longest_wait(timeout, deadline)
        waits = [asyncio.ensure_future(handle.result(timeout=wait)) for handle in handles]
        try:
            if not return_exceptions:
                return tuple(await asyncio.gather(*waits))
            await asyncio.gather(*waits, return_exceptions=True)
        finally:
            # Only the waiting: the tasks know nothing of it.
            for waiting in waits:
                waiting.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return tuple(map(_result_or_error, waits))


def _result_or_error(ended: "asyncio.Future[Any]") -> Any:
    """What is no TasklineError is a bug, or the end of the caller: raised."""
    error = ended.exception()
    return error if isinstance(error, TasklineError) else ended.result()
