"""The commands about the deployment: what they take; what they do is imported when they run."""

import json
from datetime import timedelta
from typing import Annotated

import typer

from taskline_client.cli.commands import app, command, help_with, said_at_prompt
from taskline_client.cli.options import (
    DEFAULT_ADDRESS,
    Address,
    Output,
    OutputOption,
    Queues,
)
from taskline_client.cli.values import address_of, by, span
from taskline_client.cli.versions import installed_version

QueueNames = Annotated[list[str], typer.Argument(metavar="QUEUE", show_default=False)]

_QUEUES_HELP = "List, pause and resume queues."
_queues = typer.Typer(rich_markup_mode=None)
app.add_typer(_queues, name="queues")


@_queues.callback(
    invoke_without_command=True,
    help=help_with(_QUEUES_HELP, ("taskline queues", "taskline queues pause text mail")),
)
def queues(
    ctx: typer.Context, *, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS
) -> None:
    if ctx.invoked_subcommand is None:
        queues_ls(output=output, address=address)
        return
    for name in ("output", "address"):
        if said_at_prompt(ctx, name):
            raise typer.BadParameter(
                f"goes after `{ctx.invoked_subcommand}`", param_hint=f"--{name}"
            )


@command("taskline queues ls -o json", name="ls", of=_queues)
def queues_ls(*, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS) -> None:
    """List the queues with what waits on them."""
    from taskline_client.cli import inspecting

    inspecting.queues(address, output)


@command("taskline queues pause text", name="pause", of=_queues)
def queues_pause(
    *, queues: QueueNames, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS
) -> None:
    """Hand out no tasks of these queues. Tasks can still be enqueued; those that run go on."""
    from taskline_client.cli import changing

    changing.pause(address, queues, output)


@command("taskline queues resume text", name="resume", of=_queues)
def queues_resume(
    *, queues: QueueNames, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS
) -> None:
    """Hand out the tasks of paused queues again."""
    from taskline_client.cli import changing

    changing.resume(address, queues, output)


@command("taskline workers")
def workers(*, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS) -> None:
    """List the workers and what they do."""
    from taskline_client.cli import inspecting

    inspecting.workers(address, output)


@command("taskline types", "taskline types text.count_words")
def types(
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Only this one, with its schemas.")
    ] = None,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """List the task types that can be run, or describe one."""
    from taskline_client.cli import inspecting

    if name is None:
        inspecting.types(address, output)
    else:
        inspecting.task_type(address, name, output)


@command("taskline stats", "taskline stats --queue text --window 24h")
def stats(
    *,
    queue: Queues = None,
    window: Annotated[
        timedelta | None,
        by(span, "--window", metavar="SPAN", help="How far back: 1h unless said, at most 24h."),
    ] = None,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Count tasks, and tell what happened lately."""
    from taskline_client.cli import statistics

    statistics.stats(address, queue or (), window, output)


@command("taskline top", "taskline top --once > snapshot.txt")
def top(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="One snapshot in plain text, as without a terminal.")
    ] = False,
    interval: Annotated[
        timedelta | None,
        by(span, "--interval", metavar="SPAN", help="Between two looks; 1 second unless said."),
    ] = None,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Watch the whole deployment on one screen.

    Queues, rates, running tasks and workers; q or Ctrl-C ends it.
    """
    from taskline_client.cli import top as screen

    screen.top(address, once=once, interval=timedelta(seconds=1) if interval is None else interval)


@command("taskline stubs > image_tasks.py", "taskline stubs images.example:50051 > image_tasks.py")
def stubs(
    *,
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="HOST:PORT", help="As --address.", parser=address_of, show_default=False
        ),
    ] = None,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Write a typed Python module for a server's task types."""
    from taskline_client.cli import stubs as writing

    writing.stubs(address if server is None else server)


@command("taskline doctor", "taskline doctor -o json")
def doctor(*, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS) -> None:
    """Check the health of a deployment.

    Says how to mend what is wrong. Exit codes: 0 nothing has failed, 1 a check has
    failed, such as that of a store that the server cannot reach, 6 no server answers.
    """
    from taskline_client.cli import doctor as examining

    examining.doctor(address, output)


@command("taskline version", "taskline version --server")
def version(
    ctx: typer.Context,
    *,
    server: Annotated[bool, typer.Option("--server", help="Ask the server for its own.")] = False,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Print the version."""
    if not server:
        if said_at_prompt(ctx, "address"):
            raise typer.BadParameter("goes with --server", param_hint="--address")
        typer.echo(_own_version(output))
        return
    from taskline_client.cli import inspecting

    inspecting.version(address, output)


def _own_version(output: Output) -> str:
    """Written as the server's would be."""
    installed = installed_version()
    if output is Output.TABLE:
        return f"taskline {installed}"
    if output is Output.ID:
        return installed
    return json.dumps({"version": installed}, indent=2 if output is Output.JSON else None)
