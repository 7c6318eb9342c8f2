"""What callers ask for: how to enqueue, what to enqueue in bulk, which tasks to list."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, overload

from taskline_client.typed import TaskType, TypedTask
from taskline_client.types import ErrorType, RetryPolicy, TaskState

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # the input
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class _NoInput(Enum):
    """Tells "no input" from the input None, which is JSON null."""

    NO_INPUT = "NO_INPUT"

    def __repr__(self) -> str:
        return self.value


NoInput = Literal[_NoInput.NO_INPUT]
NO_INPUT: Final = _NoInput.NO_INPUT


class ConflictPolicy(StrEnum):
    """What enqueue does when `task_id` is already taken by another request."""

    # Fail with TaskAlreadyExists.
    REJECT = "REJECT"
    # Return the existing task, whatever its state.
    USE_EXISTING = "USE_EXISTING"
    # Return the existing task while it has not ended; replace it once it has.
    REPLACE_TERMINAL = "REPLACE_TERMINAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """Everything about a task but its type and input.

    None, or empty, means: as the task type or the deployment has it.
    """

    # 1 to 128 characters of [A-Za-z0-9._:-].
    task_id: str | None = None
    # Makes repeating safe. Pass your own to span process restarts; otherwise
    # each call has a new one, the same over the retries within it.
    request_id: str | None = None
    conflict_policy: ConflictPolicy = ConflictPolicy.REJECT
    queue: str | None = None
    # 0 (lowest) to 9.
    priority: int = 0
    # Not before this instant (aware), or not before this long from now; not both.
    schedule_time: datetime | None = None
    delay: timedelta | None = None
    # Fail if no worker starts it this long after it was due.
    queue_timeout: timedelta | None = None
    # Longest time for one attempt.
    execution_timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None
    # How long the result is kept after the end.
    result_ttl: timedelta | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schedule_time is not None and self.delay is not None:
            raise ValueError("schedule_time and delay: only one of the two can be set")
        if self.schedule_time is not None and self.schedule_time.tzinfo is None:
            raise ValueError("schedule_time must be an aware datetime")
        _refuse_odd_labels(self.labels)


@dataclass(frozen=True, slots=True, init=False)
class EnqueueRequest(Generic[R_co]):
    """One task to enqueue; R is the type of its result.

    Made of exactly what `TaskClient.enqueue` takes, where it is said what that is.
    """

    task_type: str
    # As JSON can write it; NO_INPUT for none.
    input: Any
    options: EnqueueOptions
    # Reads the result from its JSON; raises ValueError if that is none.
    read_result: Callable[[bytes], R_co] = field(repr=False, compare=False)

    @overload
    def __init__(
        self: "EnqueueRequest[Any]",
        task: str,
        input: Any = NO_INPUT,
        /,
        *,
        options: EnqueueOptions | None = None,
        **arguments: Any,
    ) -> None: ...
    @overload
    def __init__(
        self, task: TaskType[None, R_co], /, *, options: EnqueueOptions | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, task: TaskType[I, R_co], input: I, /, *, options: EnqueueOptions | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, task: TypedTask[P, R_co], /, *args: P.args, **arguments: P.kwargs
    ) -> None: ...
    @overload
    def __init__(
        self,
        task: TypedTask[P, R_co],
        options: EnqueueOptions,
        /,
        *args: P.args,
        **arguments: P.kwargs,
    ) -> None: ...
    def __init__(self, task: Any, /, *args: Any, **arguments: Any) -> None:
        options, args, arguments = _split_options(task, args, arguments)
        if isinstance(task, str):
            parts = task, _named_input(*args, **arguments), options, json.loads
        elif not hasattr(task, "task_input"):
            raise TypeError(f"{task!r} is no task: pass a task function, a TaskType, or a name")
        else:
            nothing = not (args or arguments or getattr(task, "needs_input", True))
            input = NO_INPUT if nothing else task.task_input(*args, **arguments)
            parts = task.task_type, input, options, task.task_result
        for name, part in zip(self.__slots__, parts, strict=True):
            object.__setattr__(self, name, part)


def _split_options(
    task: Any, args: tuple[Any, ...], arguments: dict[str, Any]
) -> tuple[EnqueueOptions, tuple[Any, ...], dict[str, Any]]:
    """The options of a call of `enqueue`, and the arguments without them.

    Raises:
        TypeError: There are options where they would become a part of the input.
    """
    options = None
    if args and isinstance(args[0], EnqueueOptions) and not isinstance(task, str):
        options, args = args[0], args[1:]
    elif isinstance(task, str | TaskType):  # an argument of this name is a function's own
        options = arguments.pop("options", None)
    for value in (options, *args, *arguments.values()):
        if value is not options and type(value).__name__ == EnqueueOptions.__name__:
            raise _misplaced(value)
    if options is not None and not isinstance(options, EnqueueOptions):
        raise _misplaced(options)
    return options or EnqueueOptions(), args, arguments


def _misplaced(value: object) -> TypeError:
    kind = type(value)
    if kind.__name__ != EnqueueOptions.__name__:
        return TypeError(
            "options must be EnqueueOptions; "
            "pass an input that has a member `options` as a whole: enqueue(task_type, {...})"
        )
    return TypeError(
        f"{kind.__module__.partition('.')[0]}.EnqueueOptions cannot stand here: to a client, "
        "options are taskline_client.EnqueueOptions, before the arguments of a function, "
        "enqueue(function, options, ...), or by keyword where a task is named, "
        "enqueue(name, ..., options=options)"
    )


def _named_input(input: Any = NO_INPUT, /, **arguments: Any) -> Any:
    if arguments and input is not NO_INPUT:
        raise TypeError("pass either the whole input or the task's arguments by name, not both")
    return arguments or input


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Selects tasks: all conditions that are set must hold.

    Of one condition's several values any may match, of `labels` all must.
    """

    queues: Sequence[str] = ()
    task_types: Sequence[str] = ()
    states: Sequence[TaskState] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    min_create_time: datetime | None = None
    # Exclusive.
    max_create_time: datetime | None = None
    min_end_time: datetime | None = None
    # Exclusive.
    max_end_time: datetime | None = None
    # At least this many.
    min_attempts: int = 0
    # Of the last error.
    error_types: Sequence[ErrorType] = ()
    # Last executed by.
    workers: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("queues", "task_types", "states", "error_types", "workers"):
            # A text is a sequence of texts too: of its letters.
            if isinstance(value := getattr(self, name), str):
                raise TypeError(f"{name} must be a sequence, as in [{str(value)!r}]")
        _refuse_odd_labels(self.labels)


def _refuse_odd_labels(labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise TypeError(f"labels: {key!r}: {value!r} must be two texts")
