"""CancelTasks, RetryTasks and DeleteTasks: to all tasks that match, in bounded steps."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace

from taskline.v1 import task_service_pb2 as pb
from taskline_service.errors import InvalidInput
from taskline_service.rpc.filtering import query_of_filter
from taskline_service.store import TaskStore, answered_by
from taskline_service.store.chunks import MOVES_PER_CALL
from taskline_service.store.values import ListQuery
from taskline_service.task import Task, TaskState

Act = Callable[[list[str]], Awaitable[int]]


def select(
    request_filter: pb.TaskFilter | None,
    *,
    possible: Iterable[TaskState],
    unless_named: Iterable[TaskState] = (),
) -> ListQuery:
    """The tasks that a request is about, oldest first; none if it has no states.

    Args:
        request_filter: None if the request has none, which is wrong: it must be said that
            every task is meant.
        possible: The states that it can be done in.
        unless_named: Those of them that the filter has to name.

    Raises:
        InvalidInput: The filter is wrong.
    """
    if request_filter is None:
        raise InvalidInput.of("filter", "required; an empty one matches every task")
    query, possible = query_of_filter(request_filter), frozenset(possible)
    states = possible & frozenset(query.states) if query.states else possible - {*unless_named}
    return replace(query, states=sorted(states), newest_first=False)


async def for_each_step(
    store: TaskStore,
    query: ListQuery,
    act: Act,
    *,
    changes: Callable[[Task], bool] = lambda _: True,
    validate_only: bool = False,
) -> int:
    """Act on all tasks that were selected, a hundred at a time.

    Tasks that are made meanwhile are left out, so that there is an end. A caller whose time is over
    before that is not told that the store does not answer, once it has answered for the first step.

    Args:
        store: Where the tasks are.
        query: Which tasks.
        act: Does it to tasks, by id; returns how many it changed.
        changes: Whether it would change a task, as far as can be seen.
        validate_only: Count only.
    """
    count, first = 0, True
    with ExitStack() as later_steps:
        async for step in _steps(store, query):
            chosen = [task.id for task in step if changes(task)]
            if validate_only:
                count += len(chosen)
            elif chosen:
                count += await act(chosen)
            if first:
                later_steps.enter_context(answered_by(None))
            first = False
    return count


async def _steps(store: TaskStore, query: ListQuery) -> AsyncIterator[list[Task]]:
    newest = await store.list(ListQuery(), count=1)
    if not query.states or not newest.tasks:
        return
    end_us = newest.tasks[0].create_us + 1
    query = replace(query, max_create_us=min(query.max_create_us or end_us, end_us))
    while True:
        page = await store.list(query, count=MOVES_PER_CALL)
        yield page.tasks
        if page.after is None:
            return
        query = replace(query, after=page.after)
