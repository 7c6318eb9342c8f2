"""Lists that come page by page."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol, TypeVar

from taskline.v1 import task_service_pb2 as service
from taskline_client._convert import task_from
from taskline_client.types import TaskPage


class _Page(Protocol):
    """An answer that tells where the next one starts; empty after the last."""

    @property
    def next_page_token(self) -> str: ...


P = TypeVar("P", bound=_Page)


async def pages(fetch: Callable[[str], Awaitable[P]]) -> AsyncGenerator[P, None]:
    """Every page; `fetch` gets one by its token."""
    token = ""
    while True:
        page = await fetch(token)
        yield page
        if not (token := page.next_page_token):
            return


def page_from(answer: service.ListTasksResponse) -> TaskPage:
    """A page of tasks."""
    return TaskPage(
        tasks=tuple(task_from(task) for task in answer.tasks),
        next_page_token=answer.next_page_token,
        total_size=answer.total_size if answer.HasField("total_size") else None,
        resume_token=answer.resume_token,
    )
