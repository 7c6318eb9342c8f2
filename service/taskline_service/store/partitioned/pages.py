"""One page of a list, merged from those of the partitions. Pure."""

from collections.abc import Sequence

from taskline_service.store.values import TaskPage
from taskline_service.task import Task


def merged(pages: Sequence[TaskPage], *, count: int, newest_first: bool) -> TaskPage:
    """At most `count` tasks in the order of the list, up to where all pages are complete.

    Each partition then goes on behind the last of them, wherever that was found.
    """
    ends = [page.after for page in pages if page.after is not None]
    end = (max if newest_first else min)(ends) if ends else None
    tasks = sorted(
        (task for page in pages for task in page.tasks), key=_place_of, reverse=newest_first
    )
    if end is not None:
        tasks = [
            task
            for task in tasks
            if (_place_of(task) >= end if newest_first else _place_of(task) <= end)
        ]
    if len(tasks) > count:
        tasks = tasks[:count]
        end = _place_of(tasks[-1])
    totals = [page.total for page in pages if page.total is not None]
    return TaskPage(
        tasks,
        total=sum(totals) if len(totals) == len(pages) else None,
        more=end is not None,
        revisions=tuple(revision for page in pages for revision in page.revisions),
        after=end,
    )


def _place_of(task: Task) -> tuple[int, str]:
    return task.create_us, task.id
