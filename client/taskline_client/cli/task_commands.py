"""The commands about tasks: what they take; what they do is imported when they run."""

from typing import TYPE_CHECKING, Annotated

import typer

from taskline_client.cli.commands import command
from taskline_client.cli.options import (
    DEFAULT_ADDRESS,
    Address,
    DryRun,
    EveryTask,
    MaybeTaskIds,
    Output,
    OutputOption,
    Reason,
    TaskId,
    TaskIds,
    Timeout,
    Yes,
    new_task,
    task_filter,
    watch_filter,
)

if TYPE_CHECKING:
    from taskline_client.cli.enqueueing import NewTask
    from taskline_client.requests import TaskFilter


@command(
    "taskline enqueue text.count_words path=README.md top=3",
    "taskline enqueue text.count_words --delay 15m --label team=docs path=README.md",
    'echo \'{"path": "README.md"}\' | taskline enqueue text.count_words -',
    "ID=$(taskline enqueue demo.sleep seconds=60 -o id)",
    task=new_task,
)
def enqueue(
    *,
    task: "NewTask",
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Check everything and enqueue nothing.")
    ] = False,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Hand over a task and return at once."""
    from taskline_client.cli import enqueueing

    enqueueing.enqueue(address, task, output, validate_only=validate_only)


@command(
    "taskline run text.count_words path=README.md",
    "taskline run files.hash_tree root=. --timeout 1m",
    task=new_task,
)
def run(
    *,
    task: "NewTask",
    timeout: Timeout = None,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Hand over a task, follow it, print its result.

    Ctrl-C stops watching, not the task.
    """
    from taskline_client.cli import enqueueing

    enqueueing.run(address, task, output, timeout=timeout)


@command(
    "taskline watch 01k6v0y1x2z3a4b5c6d7e8f9g0",
    "taskline watch $(taskline list --state running -o id)",
    "taskline watch --queue text",
    tasks=watch_filter,
)
def watch(
    *,
    task_ids: MaybeTaskIds = None,
    tasks: "TaskFilter",
    every: EveryTask = False,
    timeout: Timeout = None,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Follow tasks until they have ended. Ctrl-C stops watching, not the tasks.

    By a filter it shows whatever happens to tasks from now on, and does not end by itself.
    """
    from taskline_client.cli import following
    from taskline_client.cli.choosing import choose

    following.watch(address, choose(task_ids, tasks, every=every), output, timeout=timeout)


@command("taskline wait $A $B --timeout 5m && echo both are done")
def wait(
    *,
    task_ids: TaskIds,
    timeout: Timeout = None,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Wait until tasks have ended.

    Tells how each of them ended; the exit code is that of the worst.
    """
    from taskline_client.cli import following

    following.wait(address, task_ids, output, timeout=timeout)


@command(
    "taskline result 01k6v0y1x2z3a4b5c6d7e8f9g0 --wait", "taskline result $ID --timeout 30s | jq"
)
def result(
    *,
    task_id: TaskId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the task to end.")] = False,
    timeout: Timeout = None,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Print what a task returned, as JSON. A timeout implies --wait."""
    from taskline_client.cli import results

    results.result(address, task_id, output, wait=wait, timeout=timeout)


@command("taskline get 01k6v0y1x2z3a4b5c6d7e8f9g0", "taskline get $ID -o json | jq .task.labels")
def get(
    *, task_id: TaskId, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS
) -> None:
    """Show everything about one task."""
    from taskline_client.cli import inspecting

    inspecting.get(address, task_id, output)


@command("taskline events 01k6v0y1x2z3a4b5c6d7e8f9g0")
def events(
    *, task_id: TaskId, output: OutputOption = Output.TABLE, address: Address = DEFAULT_ADDRESS
) -> None:
    """Show what happened to a task.

    Its states, log lines and outputs, and the last progress.
    """
    from taskline_client.cli import inspecting

    inspecting.events(address, task_id, output)


@command(
    "taskline list --state failed --min-end-time 1h",
    "taskline list --queue text --label team=docs --limit 500 -o jsonl",
    name="list",
    tasks=task_filter,
)
def list_tasks(
    *,
    tasks: "TaskFilter",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")
    ] = 50,
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="In the order in which they were created.")
    ] = False,
    page_token: Annotated[
        str, typer.Option("--page-token", metavar="TOKEN", help="Go on after a page.")
    ] = "",
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """List tasks, newest first."""
    from taskline_client.cli import inspecting

    listing = inspecting.Listing(
        tasks=tasks, limit=limit, oldest_first=oldest_first, page_token=page_token
    )
    inspecting.list_tasks(address, listing, output)


@command(
    "taskline cancel 01k6v0y1x2z3a4b5c6d7e8f9g0 --reason 'wrong file'",
    "taskline cancel --queue text --dry-run",
    "taskline cancel --label team=docs --yes",
    tasks=task_filter,
)
def cancel(
    *,
    task_ids: MaybeTaskIds = None,
    reason: Reason = "",
    tasks: "TaskFilter",
    every: EveryTask = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Ask tasks to stop.

    Those named, or all that match. One that has ended stays as it is.
    """
    from taskline_client.cli import changing
    from taskline_client.cli.choosing import choose_to_change

    chosen = choose_to_change(task_ids, tasks, every=every, dry_run=dry_run, yes=yes)
    changing.change(address, changing.cancelling(reason), chosen, output)


@command(
    "taskline retry 01k6v0y1x2z3a4b5c6d7e8f9g0",
    "taskline retry --task-type mail.send --min-end-time 1h --dry-run",
    tasks=task_filter,
)
def retry(
    *,
    task_ids: MaybeTaskIds = None,
    tasks: "TaskFilter",
    every: EveryTask = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Put ended tasks back on their queues.

    They get a fresh budget of attempts. By a filter, those that FAILED; CANCELLED and
    COMPLETED ones if --state names them.
    """
    from taskline_client.cli import changing
    from taskline_client.cli.choosing import choose_to_change

    chosen = choose_to_change(task_ids, tasks, every=every, dry_run=dry_run, yes=yes)
    changing.change(address, changing.RETRYING, chosen, output)


@command(
    "taskline delete 01k6v0y1x2z3a4b5c6d7e8f9g0",
    "taskline delete --state completed --max-end-time 1d --dry-run",
    tasks=task_filter,
)
def delete(
    *,
    task_ids: MaybeTaskIds = None,
    tasks: "TaskFilter",
    every: EveryTask = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Remove ended tasks.

    And everything that is stored about them.
    """
    from taskline_client.cli import changing
    from taskline_client.cli.choosing import choose_to_change

    chosen = choose_to_change(task_ids, tasks, every=every, dry_run=dry_run, yes=yes)
    changing.change(address, changing.DELETING, chosen, output)
