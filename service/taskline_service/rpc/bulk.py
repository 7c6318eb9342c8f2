"""CancelTasks, RetryTasks and DeleteTasks: to all tasks that match, in bounded steps."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc.convert import STATE_FROM_PB
from taskline_service.rpc.fields import Checker
from taskline_service.rpc.filtering import check_filter, matches
from taskline_service.store import TaskStore
from taskline_service.store.chunks import MOVES_PER_CALL
from taskline_service.store.values import ListQuery
from taskline_service.task import Task, TaskState

Act = Callable[[list[str]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Selection:
    """The tasks that a call is about: those in `states` that match the filter."""

    task_filter: pb.TaskFilter
    states: frozenset[TaskState]


def select(
    request_filter: pb.TaskFilter | None,
    *,
    possible: Iterable[TaskState],
    unless_named: Iterable[TaskState] = (),
) -> Selection:
    """What a request is about.

    Args:
        request_filter: None if the request has none, which is wrong: it must be said that
            every task is meant.
        possible: The states that it can be done in.
        unless_named: Those of them that the filter has to name.

    Raises:
        InvalidInput: The filter is wrong.
    """
    check = Checker()
    if request_filter is None:
        check.wrong("filter", "required; an empty one matches every task")
        request_filter = pb.TaskFilter()
    check_filter(check, request_filter)
    check.raise_if_wrong()
    named = frozenset(STATE_FROM_PB[state] for state in request_filter.states)
    states = named & frozenset(possible) if named else frozenset(possible) - frozenset(unless_named)
    return Selection(request_filter, states)


async def for_each_step(
    store: TaskStore,
    selection: Selection,
    act: Act,
    *,
    changes: Callable[[Task], bool] = lambda _: True,
    validate_only: bool = False,
) -> int:
    """Act on all tasks of the selection, oldest first, a hundred at a time.

    Tasks that are made meanwhile are left out, so that there is an end.

    Args:
        store: Where the tasks are.
        selection: Which tasks.
        act: Does it to tasks, by id; returns how many it changed.
        changes: Whether it would change a task, as far as can be seen.
        validate_only: Count only.
    """
    count = 0
    async for step in _steps(store, selection):
        chosen = [t.id for t in step if matches(selection.task_filter, t) and changes(t)]
        if validate_only:
            count += len(chosen)
        elif chosen:
            count += await act(chosen)
    return count


async def _steps(store: TaskStore, selection: Selection) -> AsyncIterator[list[Task]]:
    """The tasks that may match, oldest first; where they are is an index, the rest is looked at."""
    wanted = selection.task_filter
    if not selection.states:  # an empty list of states would be all of them
        return
    query = ListQuery(
        states=sorted(selection.states),
        task_types=list(wanted.task_types) or None,
        queues=list(wanted.queues) or None,
    )
    newest = (await store.list(query, count=1)).tasks
    last = (newest[0].create_us, newest[0].id) if newest else (0, "")
    if wanted.HasField("max_create_time"):
        last = min(last, (wanted.max_create_time.ToMicroseconds() + 1, ""))
    query = replace(query, newest_first=False)
    if wanted.HasField("min_create_time"):
        query = replace(query, after=(wanted.min_create_time.ToMicroseconds(), ""))
    more = bool(newest)
    while more:
        page = await store.list(query, count=MOVES_PER_CALL)
        tasks = [task for task in page.tasks if (task.create_us, task.id) <= last]
        yield tasks
        more = page.more and len(tasks) == len(page.tasks) > 0
        if more:
            query = replace(query, after=(tasks[-1].create_us, tasks[-1].id))
