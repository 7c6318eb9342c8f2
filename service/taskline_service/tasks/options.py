"""How a running task enqueues another. The client has the same classes, for other callers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class ConflictPolicy(StrEnum):
    """What enqueue does when `task_id` is already taken by another request."""

    # Fail with SubtaskRefused.
    REJECT = "REJECT"
    # Return the existing task, whatever its state.
    USE_EXISTING = "USE_EXISTING"
    # Return the existing task while it has not ended; replace it once it has.
    REPLACE_TERMINAL = "REPLACE_TERMINAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often failed attempts are repeated.

    A field that is None takes the value of the task type.
    """

    # In total, including the first; -1 for no limit.
    max_attempts: int | None = None
    initial_backoff: timedelta | None = None
    max_backoff: timedelta | None = None
    backoff_multiplier: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """Everything about a task but its type and input.

    None, or empty, means: as the task type or the deployment has it.
    """

    # 1 to 128 characters of [A-Za-z0-9._:-]. With one made of `ctx.task_id`, and USE_EXISTING,
    # an attempt that is repeated goes on with the tasks of the one before.
    task_id: str | None = None
    # Makes repeating safe. Each call has a new one unless it is given.
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


def split_options(
    task: Any, args: tuple[Any, ...], arguments: Mapping[str, Any]
) -> tuple[EnqueueOptions, tuple[Any, ...], dict[str, Any]]:
    """The options of a call of `enqueue`, and the arguments without them.

    Raises:
        TypeError: There are options where they would become a part of the input.
    """
    options, arguments = None, dict(arguments)
    if args and isinstance(args[0], EnqueueOptions) and not isinstance(task, str):
        options, args = args[0], args[1:]
    elif not callable(task):  # an argument of this name is a function's own
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
        f"{kind.__module__.partition('.')[0]}.EnqueueOptions cannot stand here: in a task, options "
        "are taskline_service.EnqueueOptions, before the arguments of a function, "
        "enqueue(function, options, ...), or by keyword where a task is named, "
        "enqueue(name, ..., options=options)"
    )


_SPANS = ("delay", "queue_timeout", "execution_timeout", "result_ttl")
_SPANS_OF_RETRIES = ("initial_backoff", "max_backoff")


def options_to_fields(options: EnqueueOptions) -> dict[str, Any]:
    """For the way to another process."""
    time, retries = options.schedule_time, options.retry_policy
    return _to_fields(options, _SPANS) | {
        "schedule_time": time and time.isoformat(),
        "retry_policy": retries and _to_fields(retries, _SPANS_OF_RETRIES),
        "labels": dict(options.labels),
    }


def options_from_fields(values: Mapping[str, Any]) -> EnqueueOptions:
    """The other way."""
    time, retries = values["schedule_time"], values["retry_policy"]
    return EnqueueOptions(
        **_from_fields(values, _SPANS)
        | {
            "conflict_policy": ConflictPolicy(values["conflict_policy"]),
            "schedule_time": time and datetime.fromisoformat(time),
            "retry_policy": retries and RetryPolicy(**_from_fields(retries, _SPANS_OF_RETRIES)),
        }
    )


def _to_fields(value: EnqueueOptions | RetryPolicy, spans: tuple[str, ...]) -> dict[str, Any]:
    values = {each.name: getattr(value, each.name) for each in fields(value)}
    times = {name: values[name].total_seconds() for name in spans if values[name] is not None}
    return values | times


def _from_fields(values: Mapping[str, Any], spans: tuple[str, ...]) -> dict[str, Any]:
    times = {name: timedelta(seconds=values[name]) for name in spans if values[name] is not None}
    return {**values, **times}
