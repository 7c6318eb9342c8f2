"""Waiting for several tasks at once, without an event loop."""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, overload

from taskline_client.client import TaskClient
from taskline_client.errors import TasklineError
from taskline_client.sync._portal import Portal
from taskline_client.sync.handle import TaskHandle

R = TypeVar("R")
R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")
R4 = TypeVar("R4")


class Gathering:
    """The part of TaskClient that waits for several tasks."""

    _portal: Portal
    _client: TaskClient

    @overload
    def gather(
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
    def gather(
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
    def gather(
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
    def gather(
        self,
        *handles: TaskHandle[R],
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R, ...]: ...
    @overload
    def gather(
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
    def gather(
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
    def gather(
        self,
        *handles: TaskHandle[R],
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: Literal[True],
    ) -> tuple[R | TasklineError, ...]: ...
    def gather(
        self,
        *handles: TaskHandle[Any],
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        return_exceptions: bool = False,
    ) -> tuple[Any, ...]:
        """Wait for all of the tasks; their results, in order."""
        # Neither True nor False, as its overloads have it.
        gather: Callable[..., Coroutine[Any, Any, tuple[Any, ...]]] = self._client.gather
        return self._portal.call(
            gather(
                *(handle._handle for handle in handles),
                timeout=timeout,
                deadline=deadline,
                return_exceptions=return_exceptions,
            )
        )
