"""The commands and their options; what they do is imported when they run.

`taskline --help` must be quick, so nothing here imports grpc. Other packages add
commands by the entry point group `taskline.commands`: functions that take the app.
"""

import json
from importlib import metadata
from typing import TYPE_CHECKING, Annotated

import typer

from taskline_client.cli.options import (
    DEFAULT_ADDRESS,
    Address,
    Arguments,
    JsonInput,
    Labels,
    Output,
    OutputOption,
    input_bytes,
    pairs,
    seconds,
)

if TYPE_CHECKING:
    from taskline_client.types import TaskState

app: typer.Typer = typer.Typer(
    name="taskline",
    help="Enqueue tasks, follow them live, read their results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Rich's help costs a hundred milliseconds each time.
    rich_markup_mode=None,
)

TaskId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
TaskIds = Annotated[list[str], typer.Argument(metavar="ID...", show_default=False)]
TypeName = Annotated[str, typer.Argument(metavar="TYPE", show_default=False)]
TaskIdOption = Annotated[str | None, typer.Option("--task-id", help="Instead of a random id.")]
QueueOption = Annotated[str | None, typer.Option("--queue", help="Instead of the type's own.")]
Priority = Annotated[int, typer.Option("--priority", min=0, max=9, help="9 goes first.")]
Delay = Annotated[float | None, typer.Option("--delay", metavar="SECONDS", min=0)]
RequestId = Annotated[
    str | None, typer.Option("--request-id", help="Makes repeating this command safe.")
]


def run() -> None:
    """The whole program."""
    for command in metadata.entry_points(group="taskline.commands"):
        command.load()(app)
    app(prog_name="taskline")


def _offer_enqueueing(name: str, help: str) -> None:
    """`enqueue` and `run` take the same options."""

    @app.command(name, help=help)
    def command(
        task_type: TypeName,
        arguments: Arguments = None,
        *,
        json_input: JsonInput = None,
        task_id: TaskIdOption = None,
        queue: QueueOption = None,
        priority: Priority = 0,
        delay: Delay = None,
        label: Labels = None,
        request_id: RequestId = None,
        output: OutputOption = Output.TABLE,
        address: Address = DEFAULT_ADDRESS,
    ) -> None:
        from taskline_client.cli import enqueueing
        from taskline_client.requests import EnqueueOptions

        options = EnqueueOptions(
            task_id=task_id,
            queue=queue,
            priority=priority,
            delay=seconds(delay),
            labels=pairs(label or ()),
            request_id=request_id,
        )
        task = enqueueing.NewTask(
            task_type=task_type, input=input_bytes(arguments or (), json_input), options=options
        )
        act = enqueueing.run if name == "run" else enqueueing.enqueue
        act(address, task, output)


_offer_enqueueing(
    "enqueue",
    "Hand over a task and return at once: taskline enqueue text.count_words path=README.md top=3",
)
_offer_enqueueing(
    "run",
    "Hand over a task, follow it live, print what it returned: "
    "taskline run text.count_words path=README.md",
)


@app.command()
def watch(
    task_ids: TaskIds,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Follow tasks until they have ended. Ctrl-C stops watching, not the tasks."""
    from taskline_client.cli import following

    following.watch(address, task_ids, output)


@app.command()
def result(
    task_id: TaskId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the task to end.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=0, help="The longest wait; implies it."),
    ] = None,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Print what a task returned, as JSON."""
    from taskline_client.cli import results

    results.result(address, task_id, output, wait=wait, timeout=seconds(timeout))


@app.command()
def get(
    task_id: TaskId, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS
) -> None:
    """Show everything about one task."""
    from taskline_client.cli import inspecting

    inspecting.get(address, task_id, output)


@app.command("list")
def list_tasks(
    *,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="For example failed; may be repeated.")
    ] = None,
    queue: Annotated[list[str] | None, typer.Option("--queue")] = None,
    task_type: Annotated[list[str] | None, typer.Option("--type")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1)] = 50,
    page_token: Annotated[str, typer.Option("--page-token", help="Go on after a page.")] = "",
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """List tasks, newest first."""
    from taskline_client.cli import inspecting
    from taskline_client.requests import TaskFilter

    tasks = TaskFilter(
        states=[_state(name) for name in state or ()],
        queues=queue or (),
        task_types=task_type or (),
    )
    listing = inspecting.Listing(tasks=tasks, limit=limit, page_token=page_token)
    inspecting.list_tasks(address, listing, output)


@app.command()
def cancel(
    task_ids: TaskIds,
    reason: Annotated[str, typer.Option("--reason", help="Shown in the task's error.")] = "",
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Ask tasks to stop. One that has ended stays as it is."""
    from taskline_client.cli import inspecting

    inspecting.cancel(address, task_ids, reason, output)


@app.command()
def types(output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS) -> None:
    """List the task types that can be run."""
    from taskline_client.cli import inspecting

    inspecting.types(address, output)


@app.command()
def queues(output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS) -> None:
    """List the queues with what waits on them."""
    from taskline_client.cli import inspecting

    inspecting.queues(address, output)


@app.command()
def workers(output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS) -> None:
    """List the workers and what they do."""
    from taskline_client.cli import inspecting

    inspecting.workers(address, output)


@app.command()
def version(
    ctx: typer.Context,
    *,
    server: Annotated[bool, typer.Option("--server", help="Ask the server for its own.")] = False,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Print the version."""
    if not server:
        source = ctx.get_parameter_source("address")
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter("goes with --server", param_hint="--address")
        typer.echo(_own_version(output))
        return
    from taskline_client.cli import inspecting

    inspecting.version(address, output)


@app.command()
def stubs(
    server: Annotated[str | None, typer.Argument(metavar="HOST:PORT", show_default=False)] = None,
    *,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Write a typed Python module for the task types of a server to standard output."""
    from taskline_client.cli import stubs as writing

    writing.stubs(server or address)


def _state(name: str) -> "TaskState":
    from taskline_client.types import TaskState

    state = next((state for state in TaskState if state == name.upper()), TaskState.UNKNOWN)
    if state is TaskState.UNKNOWN:
        known = ", ".join(state.lower() for state in TaskState if state is not TaskState.UNKNOWN)
        raise typer.BadParameter(f"{name!r} is not one of {known}", param_hint="--state")
    return state


def _own_version(output: Output) -> str:
    """Written as the server's would be."""
    installed = _installed_version()
    if output is Output.TABLE:
        return f"taskline {installed}"
    if output is Output.ID:
        return installed
    return json.dumps({"version": installed}, indent=2 if output is Output.JSON else None)


def _installed_version() -> str:
    try:
        return metadata.version("taskline")
    except metadata.PackageNotFoundError:
        return "(not installed: running from its source)"
