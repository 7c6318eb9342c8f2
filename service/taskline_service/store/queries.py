"""Which tasks to list, as lua/list.lua takes it. Pure."""

from collections.abc import Sequence
from typing import Any

from taskline_service.store.keys import label
from taskline_service.store.values import ListQuery
from taskline_service.task import TERMINAL_STATES, TaskState

# Which states a task can be in that has the thing asked for: fewer lines to look through.
_WITH_ERROR = frozenset(TaskState) - {TaskState.RUNNING, TaskState.COMPLETED}


def want_of(full: bool) -> dict[str, bool]:
    """What to read of a task that can be long."""
    return {"input": True, "traceback": True, "attempts": True} if full else {}


def query_to_args(query: ListQuery) -> dict[str, Any]:
    """The arguments of the script, without how many tasks are wanted."""
    asked = {
        "min_end": query.min_end_us,
        "max_end": query.max_end_us,
        "min_attempts": query.min_attempts,
        "error_types": _texts(query.error_types),
        "workers": _texts(query.workers),
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    return {
        "states": [state.value for state in _states(query)],
        "types": _texts(query.task_types),
        "queues": _texts(query.queues),
        "newest_first": query.newest_first,
        "want": want_of(query.full),
        "labels": [label(*pair) for pair in query.labels.items()] or None,
        "low": None if query.min_create_us is None else str(query.min_create_us),
        "high": None if query.max_create_us is None else f"({query.max_create_us}",
        "asked": asked or None,
        "after": query.after and {"create": query.after[0], "id": query.after[1]},
    }


def _states(query: ListQuery) -> list[TaskState]:
    chosen = set(TaskState if query.states is None else query.states)
    if query.min_end_us is not None or query.max_end_us is not None:
        chosen &= TERMINAL_STATES
    if query.error_types is not None:
        chosen &= _WITH_ERROR
    return [state for state in TaskState if state in chosen]


def _texts(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else [str(value) for value in values]
