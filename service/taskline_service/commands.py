"""The service's part of the command line: `taskline serve`, `taskline worker`, `taskline fsck`.

Only reads options; what they start is imported when a command runs, so that the other
commands start fast and need none of the service's libraries.
"""

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from taskline_service import config

_NOT_INSTALLED: Final = 2


def _seconds(text: Any) -> float:
    """What an option for a span was given; its default is a number already."""
    try:
        return config.seconds(str(text))
    except ValueError as error:
        message = f"{text!r} is not a span such as 1.5, 90s, 15m, 2h or 7d"
        raise typer.BadParameter(message) from error


def _span(variable: str, *, default: str, help: str) -> Any:
    """An option for a span: a number of seconds, or one with a unit."""
    return typer.Option(
        envvar=variable, metavar="SPAN", parser=_seconds, show_default=default, help=help
    )


Tasks = typer.Option(
    envvar="TASKLINE_TASKS",
    metavar="MODULE:ATTRIBUTE",
    help="The TaskRegistry with the tasks; the current directory is searched too.",
)
RedisUrl = Annotated[
    str | None,
    typer.Option(
        envvar="TASKLINE_REDIS_URL",
        metavar="URL",
        help="An existing Redis or Valkey: redis://, rediss:// or unix://.",
        show_default="an embedded store",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        envvar="TASKLINE_DATA_DIR",
        metavar="PATH",
        help="Where the embedded store keeps its data.",
        show_default="~/.local/state/taskline",
        file_okay=False,
    ),
]
Namespace = Annotated[
    str,
    typer.Option(
        envvar="TASKLINE_NAMESPACE",
        metavar="NAME",
        help="Keeps deployments in one store apart: 1-63 characters of [A-Za-z0-9_-].",
    ),
]
Partitions = Annotated[
    int,
    typer.Option(
        envvar="TASKLINE_PARTITIONS",
        metavar="N",
        help="Into how many partitions the namespace is divided; the first start decides for good.",
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(
        envvar="TASKLINE_CONCURRENCY",
        metavar="N",
        help="Tasks at once per worker process.",
    ),
]
Lease = Annotated[
    float,
    _span(
        "TASKLINE_LEASE",
        default="30s",
        help="How long a silent worker keeps its tasks, at least 1s; then others get them.",
    ),
]
Grace = Annotated[
    float,
    _span(
        "TASKLINE_GRACE",
        default="30s",
        help="How long running calls and tasks may go on after SIGTERM.",
    ),
]
MaxQueued = Annotated[
    int,
    typer.Option(
        envvar="TASKLINE_MAX_QUEUED",
        metavar="N",
        help="Waiting tasks that a queue may have before it takes no more, from callers or from "
        "tasks; 0 for no limit.",
    ),
]
MaxInputSize = Annotated[
    int,
    typer.Option(
        envvar="TASKLINE_MAX_INPUT_SIZE",
        metavar="BYTES",
        help="Largest input accepted, from callers or from tasks.",
    ),
]
MaxResultSize = Annotated[
    int,
    typer.Option(
        envvar="TASKLINE_MAX_RESULT_SIZE",
        metavar="BYTES",
        help="Largest result kept; the same for the server and all workers.",
    ),
]
ResultTtl = Annotated[
    float,
    _span(
        "TASKLINE_RESULT_TTL",
        default="24h",
        help="How long results are kept unless a task says otherwise.",
    ),
]
RecordTtl = Annotated[
    float,
    _span(
        "TASKLINE_RECORD_TTL",
        default="7d",
        help="How long ended tasks are known; not shorter than --result-ttl.",
    ),
]
MaxLost = Annotated[
    int,
    typer.Option(
        envvar="TASKLINE_MAX_LOST",
        metavar="N",
        help="Workers that a task may take with it before it fails; the same everywhere.",
    ),
]
Level = Annotated[
    config.LogLevel, typer.Option(envvar="TASKLINE_LOG_LEVEL", help="How much is logged.")
]


Format = Annotated[
    config.LogFormat,
    typer.Option(
        envvar="TASKLINE_LOG_FORMAT",
        help="One line per record: for people, or JSON; auto: for people on a terminal only.",
    ),
]
MetricsListen = Annotated[
    str | None,
    typer.Option(
        envvar="TASKLINE_METRICS_LISTEN",
        metavar="HOST:PORT",
        help="Where Prometheus can read metrics; the workers beside a server take the next ports.",
        show_default="nowhere",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the service's commands; called through the entry point group `taskline.commands`."""
    app.command()(serve)
    app.command()(worker)
    app.command()(fsck)


def serve(
    ctx: typer.Context,
    *,
    tasks: Annotated[str | None, Tasks] = None,
    listen: Annotated[
        str,
        typer.Option(
            envvar="TASKLINE_LISTEN",
            metavar="HOST:PORT",
            help="Where to listen; port 0 picks a free one, the ready line tells which.",
        ),
    ] = config.DEFAULT_LISTEN,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            envvar="TASKLINE_INSECURE",
            help="Allow --listen beyond loopback, without TLS and tokens.",
        ),
    ] = False,
    reflection: Annotated[
        bool | None,
        typer.Option(
            "--reflection/--no-reflection",
            envvar="TASKLINE_REFLECTION",
            help="Let callers such as grpcurl ask what there is to call.",
            show_default="only on loopback",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            envvar="TASKLINE_WORKERS",
            metavar="N",
            help="Worker processes beside the server.",
            show_default="1 with --tasks, otherwise 0",
        ),
    ] = None,
    max_queued: MaxQueued = 0,
    max_wait: Annotated[
        float,
        _span(
            "TASKLINE_MAX_WAIT",
            default="5m",
            help="How long one GetResult waits at most; clients call again to wait longer.",
        ),
    ] = config.DEFAULT_MAX_WAIT_S,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    namespace: Namespace = config.DEFAULT_NAMESPACE,
    partitions: Partitions = 1,
    concurrency: Concurrency = config.DEFAULT_CONCURRENCY,
    lease: Lease = config.DEFAULT_LEASE_S,
    grace: Grace = config.DEFAULT_GRACE_S,
    max_input_size: MaxInputSize = config.DEFAULT_MAX_INPUT_SIZE,
    max_result_size: MaxResultSize = config.DEFAULT_MAX_RESULT_SIZE,
    result_ttl: ResultTtl = config.DEFAULT_RESULT_TTL_S,
    record_ttl: RecordTtl = config.DEFAULT_RECORD_TTL_S,
    max_lost: MaxLost = config.DEFAULT_MAX_LOST,
    log_level: Level = config.LogLevel.INFO,
    log_format: Format = config.LogFormat.AUTO,
    metrics_listen: MetricsListen = None,
) -> None:
    """Serve tasks over gRPC, with workers beside the server.

    Prints one line when it is ready: `taskline: serving on HOST:PORT`. SIGTERM drains.
    Without --tasks it serves the task types that workers elsewhere have registered.
    A SPAN is a number of seconds, or one with a unit: 500ms, 90s, 15m, 2h, 7d.

    \b
    Examples:
      taskline serve --tasks examples.tasks:tasks
      taskline serve --tasks examples.tasks:tasks --workers 4 --data-dir taskline-data
      taskline serve --redis-url redis://redis.example:6379/0 --grace 2m
    """
    _end_while_it_starts()
    try:
        options = config.ServeConfig.from_options(
            tasks=tasks,
            listen=listen,
            redis_url=redis_url,
            data_dir=data_dir,
            namespace=namespace,
            partitions=partitions,
            workers=workers,
            concurrency=concurrency,
            lease_s=lease,
            grace_s=grace,
            max_input_size=max_input_size,
            max_result_size=max_result_size,
            result_ttl_s=result_ttl,
            record_ttl_s=record_ttl,
            max_lost=max_lost,
            max_queued=max_queued,
            max_wait_s=max_wait,
            insecure=insecure,
            reflection=reflection,
            log_level=log_level,
            log_format=log_format,
            metrics_listen=metrics_listen,
        )
        if not options.workers:
            _refuse_options_of_workers(ctx)
        # Our children are other programs: gRPC need not prepare for forks, nor warn of them.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        code = _service_module("serve").run(options)
    except config.WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from error
    raise typer.Exit(code)


def worker(
    *,
    tasks: Annotated[str, Tasks],
    queues: Annotated[
        str | None,
        typer.Option(
            envvar="TASKLINE_QUEUES",
            metavar="A,B",
            help="Take tasks from these queues only; with weights, A=3,B, from A three times as "
            "often as from B.",
            show_default="every queue, also new ones",
        ),
    ] = None,
    strict_order: Annotated[
        bool,
        typer.Option(
            "--strict-order",
            envvar="TASKLINE_STRICT_ORDER",
            help="Take from the first of --queues until it is empty, then from the next: "
            "later ones may starve.",
        ),
    ] = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    namespace: Namespace = config.DEFAULT_NAMESPACE,
    partitions: Partitions = 1,
    concurrency: Concurrency = config.DEFAULT_CONCURRENCY,
    lease: Lease = config.DEFAULT_LEASE_S,
    grace: Grace = config.DEFAULT_GRACE_S,
    max_queued: MaxQueued = 0,
    max_input_size: MaxInputSize = config.DEFAULT_MAX_INPUT_SIZE,
    max_result_size: MaxResultSize = config.DEFAULT_MAX_RESULT_SIZE,
    result_ttl: ResultTtl = config.DEFAULT_RESULT_TTL_S,
    record_ttl: RecordTtl = config.DEFAULT_RECORD_TTL_S,
    max_lost: MaxLost = config.DEFAULT_MAX_LOST,
    log_level: Level = config.LogLevel.INFO,
    log_format: Format = config.LogFormat.AUTO,
    metrics_listen: MetricsListen = None,
) -> None:
    """Execute tasks from the store of a `taskline serve`.

    With the same --data-dir it joins that server's embedded store; with the same
    --redis-url it can run on any machine. SIGTERM drains.
    A SPAN is a number of seconds, or one with a unit: 500ms, 90s, 15m, 2h, 7d.

    \b
    Examples:
      taskline worker --tasks examples.tasks:tasks --data-dir taskline-data
      taskline worker --tasks examples.tasks:tasks --redis-url redis://redis.example:6379/0
      taskline worker --tasks examples.tasks:tasks --queues text=3,files --concurrency 20
    """
    # Late: `taskline --help` needs neither, nor what they bring along.
    from taskline_service import signs_of_life
    from taskline_service.die_with_parent import PARENT_VARIABLE, die_with_parent

    if parent := os.environ.pop(PARENT_VARIABLE, None):
        die_with_parent(int(parent))
    if descriptor := os.environ.pop(signs_of_life.VARIABLE, None):
        signs_of_life.give_signs(int(descriptor))
    _end_while_it_starts()
    try:
        options = config.WorkerConfig.from_options(
            tasks=tasks,
            redis_url=redis_url,
            data_dir=data_dir,
            namespace=namespace,
            partitions=partitions,
            queues=queues,
            strict_order=strict_order,
            concurrency=concurrency,
            lease_s=lease,
            grace_s=grace,
            max_queued=max_queued,
            max_input_size=max_input_size,
            max_result_size=max_result_size,
            result_ttl_s=result_ttl,
            record_ttl_s=record_ttl,
            max_lost=max_lost,
            log_level=log_level,
            log_format=log_format,
            metrics_listen=metrics_listen,
        )
        code = _service_module("work").run(options)
    except config.WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from error
    raise typer.Exit(code)


def fsck(
    ctx: typer.Context,
    *,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    snapshot: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Check a copy of this RDB or append-only file instead; the directory of one in "
            "several parts.",
            exists=True,
        ),
    ] = None,
    namespace: Namespace = config.DEFAULT_NAMESPACE,
    partitions: Partitions = 1,
    max_lost: MaxLost = config.DEFAULT_MAX_LOST,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Tell how each offence would be mended; --yes does it."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --repair: mend what can be mended safely.")
    ] = False,
    output: Annotated[
        config.ReportFormat,
        typer.Option("--output", "-o", help="table: for people; json: for programs."),
    ] = config.ReportFormat.TABLE,
) -> None:
    """Check that what is in a store makes sense, and name what does not.

    The service may run meanwhile. If its embedded store does not, it is started for the
    check. Exit codes: 0 clean, 1 offences found (after a repair: left), 2 wrong usage, 6 the
    store cannot be had.

    \b
    Examples:
      taskline fsck --data-dir taskline-data
      taskline fsck --redis-url redis://redis.example:6379/0 --repair
      taskline fsck --snapshot backup -o json
    """
    if snapshot is not None:
        redis_url = redis_url if _on_command_line(ctx, "redis_url") else None
        data_dir = data_dir if _on_command_line(ctx, "data_dir") else None
    try:
        options = config.FsckConfig.from_options(
            redis_url=redis_url,
            data_dir=data_dir,
            snapshot=snapshot,
            namespace=namespace,
            partitions=partitions,
            max_lost=max_lost,
            repair=repair,
            confirmed=yes,
            output=output,
        )
        code = _service_module("check").run(options)
    except config.WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from error
    raise typer.Exit(code)


def _end_while_it_starts() -> None:
    """Until the process can end in order, SIGTERM finds nothing begun: the end is in order too."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def _refuse_options_of_workers(ctx: typer.Context) -> None:
    for name in ("concurrency", "lease"):
        if _on_command_line(ctx, name):
            raise config.WrongOption(
                f"--{name}", "is for workers, and there are none beside this server"
            )


def _on_command_line(ctx: typer.Context, name: str) -> bool:
    """An option that is said there is meant; in the environment, perhaps for others."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _service_module(name: str) -> Any:
    """The module that does it, or exit with the line that installs what it needs."""
    try:
        return importlib.import_module(f"taskline_service.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("taskline"):
            raise
        print(
            f"taskline: this command needs {error.name}, which is not installed:\n"
            "  pip install '/path/to/taskline[service,embedded]'",
            file=sys.stderr,
        )
        raise typer.Exit(_NOT_INSTALLED) from error
