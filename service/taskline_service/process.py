"""What our processes have in common: the event loop, signals, and the store at their start."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from taskline_service.store import (
    Directory,
    Keys,
    Redis,
    RedisAddress,
    StoreInfo,
    TaskStore,
    parse_redis_url,
)

log = logging.getLogger(__name__)

OLDEST_STORE = (6, 2)
_EXIT_AT_ONCE = 130


class StoreTooOld(Exception):
    """The store lacks commands that the scripts need."""


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a process of ours to its exit code, on uvloop where there is one."""
    try:
        import uvloop
    except ModuleNotFoundError:
        loop_factory = None
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


def on_stop_signal(stop: Callable[[], None]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT; a second one ends the process at once."""
    loop, received = asyncio.get_running_loop(), list[signal.Signals]()

    def handle(number: signal.Signals) -> None:
        if received:
            log.warning("%s again: ending at once", number.name)
            os._exit(_EXIT_AT_ONCE)
        received.append(number)
        log.info("%s: ending in order", number.name)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle, number)


@asynccontextmanager
async def store_at(url: str, namespace: str) -> AsyncIterator[tuple[TaskStore, RedisAddress]]:
    """The store at a URL, after a look at what it is like.

    Raises:
        InvalidRedisUrl: The URL does not say where a store is.
        StoreUnavailable: Nobody answers there.
        StoreTooOld: It is older than Redis 6.2.
    """
    address = parse_redis_url(url)
    async with Redis(address) as redis:
        store = TaskStore(redis, Keys(namespace))
        _judge(await Directory(redis, store.keys).store_info(), address)
        yield store, address


def _judge(info: StoreInfo, address: RedisAddress) -> None:
    log.info(
        "store: %s at %s, append-only file: %s, eviction: %s",
        info.version_text,
        address,
        info.persistence or "unknown",
        info.eviction_policy or "unknown",
    )
    if info.product == "redis" and _version(info.version) < OLDEST_STORE:
        raise StoreTooOld(f"the store is {info.version_text}; at least Redis 6.2 is needed")
    if info.persistence == "off":
        log.warning("the store keeps no append-only file: a restart of it loses tasks")
    if info.eviction_policy not in ("noeviction", ""):
        log.warning(
            "the store evicts keys (%s) and so may lose tasks: set maxmemory-policy noeviction",
            info.eviction_policy,
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
