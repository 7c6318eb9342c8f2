"""Storing what must not get lost, through any trouble of the store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from taskline_service.errors import StoreDamaged, StoreFull, StoreUnavailable
from taskline_service.store import StoreError
from taskline_service.store.redis import backoff

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_TROUBLE = (StoreUnavailable, StoreFull)


async def until_stored(move: Callable[[], Awaitable[_T]], what: str, *, mended: bool = True) -> _T:
    """Make a move of the store again and again until the store has answered.

    The moves of a worker may be repeated: what was done before is recognised by its claim.

    Args:
        move: Makes it.
        what: Is to be stored, for people.
        mended: Also until what is damaged in the store is mended; else that is raised.
    """
    trouble = (*_TROUBLE, StoreDamaged) if mended else _TROUBLE
    attempt = 0
    while True:
        try:
            return await move()
        except trouble as error:
            if attempt == 0:
                log.warning("%s: not stored yet: %s", what, error)
            await asyncio.sleep(backoff(attempt))
            attempt += 1


async def unless_refused(move: Callable[[], Awaitable[_T]], what: str) -> _T | None:
    """The same; what the store refuses for a reason that we do not know is told, and given up."""
    try:
        return await until_stored(move, what)
    except StoreError as error:
        log.error("%s: the store refused it: %s", what, error)
        return None
