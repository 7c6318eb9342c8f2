"""Which tasks a command is about: those that are named, or those that match."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from taskline_client.requests import TaskFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Either ids or a filter."""

    task_ids: Sequence[str] = ()
    tasks: TaskFilter | None = None
    # Of a filter: only count, or change without asking.
    dry_run: bool = False
    confirmed: bool = False


def choose(task_ids: Sequence[str] | None, tasks: TaskFilter, *, every: bool) -> Chosen:
    """What to follow. Nothing said is not everything."""
    if [bool(task_ids), tasks != TaskFilter(), every].count(True) != 1:
        raise typer.BadParameter("name tasks by ID, or select them by a filter, or say --all")
    return Chosen(task_ids=task_ids) if task_ids else Chosen(tasks=tasks)


def choose_to_change(
    task_ids: Sequence[str] | None, tasks: TaskFilter, *, every: bool, dry_run: bool, yes: bool
) -> Chosen:
    """What to change. Of what a filter selects somebody has to agree to it."""
    chosen = choose(task_ids, tasks, every=every)
    if chosen.tasks is None:
        if dry_run:
            raise typer.BadParameter("is for tasks that a filter selects", param_hint="--dry-run")
        return chosen
    if not (yes or dry_run or sys.stdin.isatty()):
        raise typer.BadParameter(
            "many tasks may match, and there is no terminal to ask at: say --yes to change them, "
            "or --dry-run to count them"
        )
    return Chosen(tasks=chosen.tasks, dry_run=dry_run, confirmed=yes)
