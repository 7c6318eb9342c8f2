"""Lists that come page by page."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol, TypeVar


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
