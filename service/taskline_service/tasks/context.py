"""What running task code sees of its task."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from taskline_service.limits import LONGEST_SPAN
from taskline_service.tasks.options import EnqueueOptions
from taskline_service.tasks.progress import (
    REPORTED,
    ProgressReporter,
    checked_percentage,
    checked_text,
)
from taskline_service.tasks.subtasks import (
    Ask,
    Subtask,
    SubtaskError,
    accepted,
    nobody_answers,
    subtask_of,
)
from taskline_service.tasks.typed import NamedTask, TypedTask

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # the input
R = TypeVar("R")
R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter


class TaskLogger(_LoggerAdapter):
    """A logger that names the task on each record, beside the caller's own `extra`."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge the two; what names the task cannot be overwritten."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


def _nobody_listens(_message: str, _percentage: float | None) -> None:
    """For tests of task code without a worker."""


def _no_time_limit(_span: timedelta) -> None:
    """The same."""


def _nothing_to_wait_for(_awaitable: Awaitable[Any]) -> Any:
    """The same."""
    raise RuntimeError("there is no worker here")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """The running attempt; a task gets it in the parameter annotated TaskContext."""

    task_id: str
    task_type: str
    # 1 for the first.
    attempt: int
    worker: str
    progress: ProgressReporter
    # Takes a line and its percentage, from any thread.
    on_log: Callable[[str, float | None], None] = field(default=_nobody_listens, repr=False)
    # Takes how much longer the attempt may run, from any thread.
    on_extend: Callable[[timedelta], None] = field(default=_no_time_limit, repr=False)
    # Takes what is asked of the worker: to enqueue a task, to wait for one.
    on_ask: Ask = field(default=nobody_answers, repr=False)
    # Takes what a plain function waits for, and returns its result.
    on_wait: Callable[[Awaitable[Any]], Any] = field(default=_nothing_to_wait_for, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    logger: TaskLogger = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {
            "task_id": self.task_id,
            "task_type": self.task_type,
            "attempt": self.attempt,
            "worker": self.worker,
        }
        logger = TaskLogger(logging.getLogger("taskline.task"), names)
        object.__setattr__(self, "logger", logger)

    def log(self, message: str, *, percentage: float | None = None) -> Awaitable[None]:
        """Tell those who watch the task; every line is kept with it, in order.

        As with `progress`: await it in an `async def` task, call it in a plain function. For
        the log of the worker there is `logger`.

        Args:
            message: Cut at 500 characters.
            percentage: From 0 to 100; also becomes the task's progress.

        Raises:
            TypeError: `message` is no text, or `percentage` no number.
            ValueError: `percentage` is not finite.
        """
        text = checked_text("message", message)
        share = None if percentage is None else checked_percentage(percentage)
        self.on_log(text, share)
        if share is not None:
            self.progress.set_percentage(share)
        return REPORTED

    def extend_timeout(self, time: timedelta) -> None:
        """Let this attempt run for so long from now on, whatever its timeout was.

        It counts from the call, as with the visibility timeout of SQS and the deadlines of
        Pub/Sub, so that a loop can ask for "five more minutes" at each step. It never
        shortens: what is left already stays. Once the time is over it does nothing. The next
        attempt has the timeout of the task again. May be called from any thread.

        Raises:
            TypeError: `time` is no timedelta.
            ValueError: It is not above 0, or is over 365 days.
        """
        if not isinstance(time, timedelta):
            raise TypeError(f"time must be a timedelta, not {type(time).__name__}")
        if not timedelta(0) < time <= LONGEST_SPAN:
            raise ValueError(f"time must be above 0, and at most {LONGEST_SPAN.days} days")
        self.on_extend(time)

    # Tasks of this one

    @overload
    async def enqueue(
        self,
        task: str,
        /,
        *input: Any,
        options: EnqueueOptions | None = None,
        **arguments: Any,
    ) -> Subtask[Any]: ...
    @overload
    async def enqueue(
        self, task: NamedTask[None, R], /, *, options: EnqueueOptions | None = None
    ) -> Subtask[R]: ...
    @overload
    async def enqueue(
        self, task: NamedTask[I, R], input: I, /, *, options: EnqueueOptions | None = None
    ) -> Subtask[R]: ...
    @overload
    async def enqueue(
        self, task: TypedTask[P, R], /, *args: P.args, **arguments: P.kwargs
    ) -> Subtask[R]: ...
    @overload
    async def enqueue(
        self,
        task: TypedTask[P, R],
        options: EnqueueOptions,
        /,
        *args: P.args,
        **arguments: P.kwargs,
    ) -> Subtask[R]: ...
    async def enqueue(self, task: Any, /, *args: Any, **arguments: Any) -> Subtask[Any]:
        """Enqueue another task, which belongs to the same trace.

            part = await ctx.enqueue(count_words, path=path)
            part = await ctx.enqueue(count_words, EnqueueOptions(priority=9), path=path)
            part = await ctx.enqueue(COUNT_WORDS, CountWords(path=path))
            part = await ctx.enqueue("text.count_words", path=path)

        An attempt that is repeated enqueues them again, unless they have ids of their own:
        see `EnqueueOptions.task_id`. One that is cancelled leaves them running.

        Args:
            task: What to run. A task function, with its arguments but for the TaskContext; the
                options, if any, come before them. Or a TaskType of the client, with its input.
                Or the name of a task type, with the whole input, or its arguments by name.
            options: Queue, time, retries and so on. By name, a task with an argument named
                `options` takes its input as a whole.

        Raises:
            SubtaskRefused: It was not accepted; `reason` tells why.
            TypeError, ValueError: The arguments do not fit, or have no JSON form.
        """
        request, read = subtask_of(task, *args, **arguments)
        answer = await accepted(self.on_ask(request))
        return Subtask(self.on_ask, answer.task_id, created=answer.created, read=read)

    @overload
    async def run(
        self,
        task: str,
        /,
        *input: Any,
        options: EnqueueOptions | None = None,
        **arguments: Any,
    ) -> Any: ...
    @overload
    async def run(
        self, task: NamedTask[None, R], /, *, options: EnqueueOptions | None = None
    ) -> R: ...
    @overload
    async def run(
        self, task: NamedTask[I, R], input: I, /, *, options: EnqueueOptions | None = None
    ) -> R: ...
    @overload
    async def run(self, task: TypedTask[P, R], /, *args: P.args, **arguments: P.kwargs) -> R: ...
    @overload
    async def run(
        self,
        task: TypedTask[P, R],
        options: EnqueueOptions,
        /,
        *args: P.args,
        **arguments: P.kwargs,
    ) -> R: ...
    async def run(self, task: Any, /, *args: Any, **arguments: Any) -> Any:
        """Enqueue another task, and wait for its result.

        Args: As `enqueue`.

        Raises: As `enqueue`, and as `Subtask.result`.
        """
        subtask: Subtask[Any] = await self.enqueue(task, *args, **arguments)
        return await subtask.result()

    @overload
    async def gather(
        self,
        first: Subtask[R1],
        second: Subtask[R2],
        /,
        *,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R1, R2]: ...
    @overload
    async def gather(
        self,
        first: Subtask[R1],
        second: Subtask[R2],
        third: Subtask[R3],
        /,
        *,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R1, R2, R3]: ...
    @overload
    async def gather(
        self, *subtasks: Subtask[R], return_exceptions: Literal[False] = False
    ) -> tuple[R, ...]: ...
    @overload
    async def gather(
        self, first: Subtask[R1], second: Subtask[R2], /, *, return_exceptions: Literal[True]
    ) -> tuple[R1 | SubtaskError, R2 | SubtaskError]: ...
    @overload
    async def gather(
        self,
        first: Subtask[R1],
        second: Subtask[R2],
        third: Subtask[R3],
        /,
        *,
        return_exceptions: Literal[True],
    ) -> tuple[R1 | SubtaskError, R2 | SubtaskError, R3 | SubtaskError]: ...
    @overload
    async def gather(
        self, *subtasks: Subtask[R], return_exceptions: Literal[True]
    ) -> tuple[R | SubtaskError, ...]: ...
    async def gather(
        self, *subtasks: Subtask[Any], return_exceptions: bool = False
    ) -> tuple[Any, ...]:
        """Wait for several tasks; their results, in the order of the arguments.

        Args:
            subtasks: As `enqueue` gave them.
            return_exceptions: Wait for every one, and have the SubtaskError of one that has no
                result in its place.

        Raises: As `Subtask.result`, for the first that fails, at once; the others go on.
        """
        waits = [asyncio.ensure_future(subtask.result()) for subtask in subtasks]
        try:
            if not return_exceptions:
                return tuple(await asyncio.gather(*waits))
            await asyncio.gather(*waits, return_exceptions=True)
        finally:
            for waiting in waits:
                waiting.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return tuple(map(_result_or_error, waits))

    def wait_for(self, awaitable: Awaitable[R]) -> R:
        """In a plain function: wait for what an `async def` one would await.

            words = ctx.wait_for(ctx.run(count_words, path=path))

        Raises:
            RuntimeError: The function is an `async def` one.
        """
        result: R = self.on_wait(awaitable)
        return result


def _result_or_error(ended: "asyncio.Future[Any]") -> Any:
    """What is no SubtaskError, as a result of another type, is raised."""
    error = ended.exception()
    return error if isinstance(error, SubtaskError) else ended.result()
