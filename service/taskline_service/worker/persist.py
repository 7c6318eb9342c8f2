"""Storing what must not get lost, through any trouble of the store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from taskline_service.errors import StoreFull, StoreUnavailable
from taskline_service.store.redis import backoff

log = logging.getLogger(__name__)

_T = TypeVar("_T")


async def until_stored(move: Callable[[], Awaitable[_T]], what: str) -> _T:
    """Make a move of the store again and again until the store has answered.

    The moves of a worker may be repeated: what was done before is recognised by its claim.
    """
    attempt = 0
    while True:
        try:
            return await move()
        except (StoreUnavailable, StoreFull) as error:
            if attempt == 0:
                log.warning("%s: not stored yet: %s", what, error)
            await asyncio.sleep(backoff(attempt))
            attempt += 1
