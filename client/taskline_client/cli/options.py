"""The options that several commands have, each defined once; and groups of them."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taskline_client.cli.values import (
    address_of,
    attempts,
    by,
    error_type,
    given,
    input_bytes,
    instant,
    instant_or_ago,
    pairs,
    span,
    state,
)

if TYPE_CHECKING:
    from taskline_client.cli.enqueueing import NewTask
    from taskline_client.requests import TaskFilter

Address = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="TASKLINE_ADDRESS",
        metavar="HOST:PORT",
        parser=address_of,
        help="The server to ask.",
    ),
]
DEFAULT_ADDRESS = "127.0.0.1:50051"


class Output(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    ID = "id"


OutputOption = Annotated[
    Output,
    typer.Option(
        "--output",
        "-o",
        help="table: for people; json: as grpcurl prints it; jsonl: one line each; id: names only.",
    ),
]

TaskId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
TaskIds = Annotated[list[str], typer.Argument(metavar="ID", show_default=False)]
# Of commands that may take a filter instead.
MaybeTaskIds = Annotated[list[str] | None, typer.Argument(metavar="ID", show_default=False)]
Timeout = Annotated[
    timedelta | None,
    by(
        span,
        "--timeout",
        metavar="SPAN",
        help="Give up after so long, with exit code 5; the task goes on.",
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Shown in the task's error.")]

EveryTask = Annotated[
    bool, typer.Option("--all", help="Every task, where a filter would have to say which.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only tell how many tasks a filter matches.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing many tasks.")]

Queues = Annotated[
    list[str] | None,
    typer.Option("--queue", metavar="NAME", help="On this queue; may be repeated."),
]
_Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="With this label; may be repeated."),
]
_TaskTypes = Annotated[
    list[str] | None,
    typer.Option("--task-type", "--type", metavar="NAME", help="Of this type; may be repeated."),
]
_Instant = datetime | None
_Span = timedelta | None


def task_filter(
    *,
    state: Annotated[
        list[Any] | None,
        by(state, "--state", metavar="STATE", help="For example failed; may be repeated."),
    ] = None,
    queue: Queues = None,
    task_type: _TaskTypes = None,
    label: _Labels = None,
    min_create_time: Annotated[
        _Instant,
        by(
            instant_or_ago,
            "--min-create-time",
            metavar="TIME",
            help="Created then or later: 2026-01-31T10:00:00Z, or how long ago, such as 2h.",
        ),
    ] = None,
    max_create_time: Annotated[
        _Instant, by(instant_or_ago, "--max-create-time", metavar="TIME", help="Created before.")
    ] = None,
    min_end_time: Annotated[
        _Instant, by(instant_or_ago, "--min-end-time", metavar="TIME", help="Ended then or later.")
    ] = None,
    max_end_time: Annotated[
        _Instant, by(instant_or_ago, "--max-end-time", metavar="TIME", help="Ended before.")
    ] = None,
    min_attempts: Annotated[
        int | None,
        typer.Option("--min-attempts", metavar="N", min=1, help="With so many attempts."),
    ] = None,
    error_type: Annotated[
        list[Any] | None,
        by(
            error_type,
            "--error-type",
            metavar="TYPE",
            help="Whose last error is of this type, such as timeout; may be repeated.",
        ),
    ] = None,
    worker: Annotated[
        list[str] | None,
        typer.Option("--worker", metavar="ID", help="Last executed by it; may be repeated."),
    ] = None,
) -> "TaskFilter":
    """Options that select tasks."""
    from taskline_client.requests import TaskFilter

    return TaskFilter(
        states=state or (),
        queues=queue or (),
        task_types=task_type or (),
        labels=pairs(label or ()),
        min_create_time=min_create_time,
        max_create_time=max_create_time,
        min_end_time=min_end_time,
        max_end_time=max_end_time,
        min_attempts=min_attempts or 0,
        error_types=error_type or (),
        workers=worker or (),
    )


def watch_filter(
    *, queue: Queues = None, task_type: _TaskTypes = None, label: _Labels = None
) -> "TaskFilter":
    """Those that a watch can select by."""
    return task_filter(queue=queue, task_type=task_type, label=label)


def new_task(
    *,
    task_type: Annotated[str, typer.Argument(metavar="TYPE", show_default=False)],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help='The task\'s arguments. A value that is JSON (12, true, null, [1], "text") is '
            "taken as that, anything else as text. A single - is --json -.",
            show_default=False,
        ),
    ] = None,
    json_input: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="JSON|@FILE|-",
            help="The whole input instead: JSON text, a file of it, or - for standard input.",
        ),
    ] = None,
    task_id: Annotated[
        str | None, typer.Option("--task-id", metavar="ID", help="Instead of a random id.")
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option("--request-id", metavar="ID", help="Makes repeating this command safe."),
    ] = None,
    conflict_policy: Annotated[
        str | None,
        typer.Option(
            "--conflict-policy",
            metavar="POLICY",
            help="If the task id is taken: reject, use_existing or replace_terminal.",
        ),
    ] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="NAME", help="Instead of the type's own.")
    ] = None,
    priority: Annotated[
        int, typer.Option("--priority", metavar="0-9", min=0, max=9, help="9 goes first.")
    ] = 0,
    schedule_time: Annotated[
        _Instant,
        by(
            instant,
            "--schedule-time",
            metavar="TIME",
            help="Not before this time: 2026-01-31T10:00:00Z, or without Z in your time zone.",
        ),
    ] = None,
    delay: Annotated[
        _Span,
        by(
            span,
            "--delay",
            metavar="SPAN",
            help="Not before so long from now: seconds, or 500ms, 15m, 2h, 7d.",
        ),
    ] = None,
    queue_timeout: Annotated[
        _Span,
        by(
            span,
            "--queue-timeout",
            metavar="SPAN",
            help="Fail if nothing starts it so long after it was due.",
        ),
    ] = None,
    execution_timeout: Annotated[
        _Span,
        by(span, "--execution-timeout", metavar="SPAN", help="Longest time for one attempt."),
    ] = None,
    max_attempts: Annotated[
        int | None,
        by(
            attempts,
            "--max-attempts",
            metavar="N",
            help="1 or more, the first included; -1 for no limit.",
        ),
    ] = None,
    initial_backoff: Annotated[
        _Span, by(span, "--initial-backoff", metavar="SPAN", help="Before the second attempt.")
    ] = None,
    max_backoff: Annotated[
        _Span, by(span, "--max-backoff", metavar="SPAN", help="The longest between attempts.")
    ] = None,
    backoff_multiplier: Annotated[
        float | None,
        typer.Option("--backoff-multiplier", metavar="X", help="Growth from one to the next."),
    ] = None,
    result_ttl: Annotated[
        _Span, by(span, "--result-ttl", metavar="SPAN", help="How long the result is kept.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="KEY=VALUE", help="To find the task again; may be repeated."
        ),
    ] = None,
) -> "NewTask":
    """A task to enqueue."""
    from taskline_client.cli.enqueueing import NewTask
    from taskline_client.requests import ConflictPolicy, EnqueueOptions
    from taskline_client.types import RetryPolicy

    if schedule_time is not None and delay is not None:
        raise typer.BadParameter("give either --schedule-time or --delay, not both")
    retries = given(
        max_attempts=max_attempts,
        initial_backoff=initial_backoff,
        max_backoff=max_backoff,
        backoff_multiplier=backoff_multiplier,
    )
    policy = (conflict_policy or ConflictPolicy.REJECT).upper()
    if policy not in set(ConflictPolicy):
        known = ", ".join(each.lower() for each in ConflictPolicy)
        raise typer.BadParameter(f"--conflict-policy: {conflict_policy!r} is not one of {known}")
    options = EnqueueOptions(
        task_id=task_id,
        request_id=request_id,
        conflict_policy=ConflictPolicy(policy),
        queue=queue,
        priority=priority,
        schedule_time=schedule_time,
        delay=delay,
        queue_timeout=queue_timeout,
        execution_timeout=execution_timeout,
        retry_policy=RetryPolicy(**retries) if retries else None,
        result_ttl=result_ttl,
        labels=pairs(label or ()),
    )
    return NewTask(
        task_type=task_type,
        input=input_bytes(arguments or (), json_input),
        arguments=arguments or (),
        options=options,
    )
