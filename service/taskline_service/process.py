"""What our processes have in common: their beginning and end, signals, and a look at the store."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from taskline_service import logs, telemetry
from taskline_service.embedded import EmbeddedStoreError
from taskline_service.errors import StoreUnavailable
from taskline_service.store import (
    Directory,
    InvalidRedisUrl,
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
_STOP_LIMIT_S = 1.0


class StoreTooOld(Exception):
    """The store lacks commands that the scripts need."""


# What a person can mend is told in a line; anything else is a bug, and shown whole.
_EXPECTED = (EmbeddedStoreError, InvalidRedisUrl, StoreTooOld, StoreUnavailable)


def run(
    main: Coroutine[Any, Any, int],
    *,
    name: str,
    log_level: int,
    expected: tuple[type[Exception], ...] = (),
    unable: int = 1,
) -> int:
    """Run a process of ours to its exit code.

    Its log goes to standard error, its traces to where the OTEL_* variables say.

    Args:
        main: What it does.
        name: Of the service, in traces.
        log_level: As `logging` counts.
        expected: Further exceptions that are told in a line.
        unable: The exit code if it cannot have what it needs.
    """
    told: tuple[type[Exception], ...] = (*_EXPECTED, *expected)
    logs.configure(log_level)
    shut_down_telemetry = telemetry.setup(name)
    try:
        return _run(main, at_exit=shut_down_telemetry)
    except* told as failures:
        for failure in _leaves(failures):
            print(f"taskline: {failure}", file=sys.stderr)
    finally:
        shut_down_telemetry()
    return unable


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _run(main: Coroutine[Any, Any, int], *, at_exit: Callable[[], None]) -> int:
    """On uvloop where there is one."""
    try:
        import uvloop
    except ModuleNotFoundError:
        loop_factory = None
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        code = runner.run(main)
        if runner.run(_something_does_not_stop()):
            # Task code that was left behind: the runner would wait for it for ever.
            log.warning("ending although some task code does not stop")
            at_exit()
            logging.shutdown()
            os._exit(code)
        return code


async def _something_does_not_stop() -> bool:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    return bool(others and (await asyncio.wait(others, timeout=_STOP_LIMIT_S))[1])


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
async def store_at(
    url: str,
    namespace: str,
    *,
    result_ttl: timedelta,
    record_ttl: timedelta,
    max_queued: int = 0,
) -> AsyncIterator[tuple[TaskStore, RedisAddress]]:
    """The store at a URL, after a look at what it is like.

    Raises:
        InvalidRedisUrl: The URL does not say where a store is.
        StoreUnavailable: Nobody answers there.
        StoreTooOld: It is older than Redis 6.2.
    """
    address = parse_redis_url(url)
    async with Redis(address) as redis:
        store = TaskStore(
            redis,
            Keys(namespace),
            result_ttl=result_ttl,
            record_ttl=record_ttl,
            max_queued=max_queued,
        )
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
