"""What our processes have in common: their beginning and end, signals, and a look at the store."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from types import FrameType
from typing import Any

from taskline_service import logs, telemetry
from taskline_service.embedded import EmbeddedStoreError
from taskline_service.errors import StoreUnavailable
from taskline_service.option_values import ListenAddress
from taskline_service.store import (
    Directory,
    InvalidRedisUrl,
    RedisAddress,
    StoreInfo,
    TaskStore,
    WrongPartitions,
    check_partitions,
    opened,
    parse_redis_url,
)

log = logging.getLogger(__name__)

OLDEST_STORE = (6, 2)
_EXIT_AT_ONCE = 130
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# For what is left behind to end by itself, on the loop and in threads.
_STOP_LIMIT_S = 0.3


class StoreTooOld(Exception):
    """The store lacks commands that the scripts need."""


# What a person can mend is told in a line; anything else is a bug, and shown whole.
_EXPECTED = (
    EmbeddedStoreError,
    InvalidRedisUrl,
    StoreTooOld,
    StoreUnavailable,
    WrongPartitions,
)


def run(
    main: Coroutine[Any, Any, int],
    *,
    name: str,
    who: str,
    log_level: int,
    log_as_json: bool = False,
    metrics_listen: ListenAddress | None = None,
    expected: tuple[type[Exception], ...] = (),
    unable: int = 1,
) -> int:
    """Run a process of ours to its exit code.

    Its log goes to standard error, its traces to where the OTEL_* variables say.

    Args:
        main: What it does.
        name: Of the service, in traces.
        who: What this process is, on each line of its log.
        log_level: As `logging` counts.
        log_as_json: Whether the log is for programs.
        metrics_listen: Where Prometheus can read metrics; None for nowhere.
        expected: Further exceptions that are told in a line.
        unable: The exit code if it cannot have what it needs.
    """
    told: tuple[type[Exception], ...] = (*_EXPECTED, *expected)
    logs.configure(log_level, who=who, as_json=log_as_json)
    try:
        shut_down_telemetry = telemetry.setup(name, metrics_listen=metrics_listen)
        telemetry.decide()
    except BaseException:
        main.close()
        raise
    code = unable
    try:
        code = _run(main, at_exit=shut_down_telemetry)
    except* told as failures:
        for failure in _leaves(failures):
            print(f"taskline: {failure}", file=sys.stderr)
    finally:
        shut_down_telemetry()
    _end_in_spite_of_threads(code)
    return code


def _end_in_spite_of_threads(code: int) -> None:
    """The interpreter waits for threads that task code has started; not for long."""
    if any(not t.daemon for t in threading.enumerate() if t is not threading.main_thread()):
        timer = threading.Timer(_STOP_LIMIT_S, os._exit, [code])
        timer.daemon = True
        timer.start()


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
        try:
            code = runner.run(main)
        except asyncio.CancelledError:  # by a StopSignal, while it started
            code = 0
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
    # Not cancelled after the time: that would wait for its threads itself.
    executor = asyncio.create_task(asyncio.get_running_loop().shutdown_default_executor())
    return bool((await asyncio.wait([*others, executor], timeout=_STOP_LIMIT_S))[1])


class StopSignal:
    """The first SIGTERM or SIGINT; a second one ends the process at once.

    Made by the main task. Until that waits for the signal, it is still starting, which may
    take long without a store: then the signal cancels it.
    """

    def __init__(self) -> None:
        self._received = asyncio.Event()
        self._starting = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._when_overdue: tuple[timedelta, Callable[[], None]] | None = None
        # Signals are heard in a thread, as each is delivered. The main thread would hear of
        # them only between two steps of Python code: too late where task code holds it up,
        # and a second signal can come within the handler of the first.
        numbers, self._written = os.pipe()
        os.set_blocking(self._written, False)
        threading.Thread(target=self._listen, args=(numbers,), name="signals", daemon=True).start()
        signal.set_wakeup_fd(self._written)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._heard_by_main_thread)
        self._masks = threading.local()
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork,
            after_in_child=self._in_copy,
        )

    def when_overdue(self, limit: timedelta, end: Callable[[], None]) -> None:
        """Have `end` called, in a thread, if the process still lives so long after the signal."""
        self._when_overdue = limit, end

    async def wait(self) -> None:
        """Wait for it: what has been started is to run until then."""
        self._starting = None
        await self._received.wait()

    def _listen(self, numbers: int) -> None:
        heard = False
        while True:
            for number in os.read(numbers, 64):
                if number not in _STOP_SIGNALS:
                    continue
                if heard:
                    log.warning("%s again: ending at once", signal.Signals(number).name)
                    os._exit(_EXIT_AT_ONCE)
                heard = True
                log.info("%s: ending in order", signal.Signals(number).name)
                self._end_in_order()

    def _end_in_order(self) -> None:
        if self._when_overdue is not None:
            limit, end = self._when_overdue
            timer = threading.Timer(limit.total_seconds(), end)
            timer.daemon = True
            timer.start()
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._receive)

    # A copy of this process, such as one that multiprocessing makes for a task, is told to end for
    # itself alone, and ends. Before it is ready for that, its signals wait.

    def _before_fork(self) -> None:
        self._masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)

    def _after_fork(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.before)

    def _in_copy(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in _STOP_SIGNALS:
            if signal.getsignal(number) == self._heard_by_main_thread:
                signal.signal(number, signal.SIG_DFL)
        self._after_fork()

    def _heard_by_main_thread(self, _number: int, _frame: FrameType | None) -> None:
        # An event loop that ends takes away the descriptor that signals are written to.
        if not self._loop.is_running():
            os._exit(_EXIT_AT_ONCE)

    def _receive(self) -> None:
        self._received.set()
        if self._starting is not None:
            self._starting.cancel()


@asynccontextmanager
async def store_at(
    url: str,
    namespace: str,
    *,
    result_ttl: timedelta,
    record_ttl: timedelta,
    max_lost: int,
    max_queued: int = 0,
    partitions: int = 1,
    decide: bool = True,
) -> AsyncIterator[tuple[TaskStore, RedisAddress]]:
    """The store at a URL, after a look at what it is like.

    With `decide`, a namespace that nobody has used before has this many partitions from now on.

    Raises:
        InvalidRedisUrl: The URL does not say where a store is.
        StoreUnavailable: Nobody answers there.
        StoreTooOld: It is older than Redis 6.2.
        WrongPartitions: The namespace has another number of partitions.
    """
    address = parse_redis_url(url)
    settings = {"result_ttl": result_ttl, "record_ttl": record_ttl, "max_lost": max_lost}
    async with opened(
        address, namespace, partitions=partitions, max_queued=max_queued, **settings
    ) as store:
        telemetry.observe_damage(lambda: store.damage.count)
        servers = {partition.redis.where: partition for partition in store.partitions}
        for where, partition in servers.items():
            _judge(await Directory(partition.redis, partition.keys).store_info(), where)
        await check_partitions(store, decide=decide)
        yield store, address


def _judge(info: StoreInfo, where: str) -> None:
    log.info(
        "store: %s at %s, append-only file: %s, eviction: %s",
        info.version_text,
        where,
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
