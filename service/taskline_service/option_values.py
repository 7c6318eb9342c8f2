"""The values that options may have: each is parsed and checked by one function or class."""

import ipaddress
import logging
import math
import re
import sys
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Self

from taskline_service.limits import (
    LARGEST_MAX_INPUT_BYTES,
    LARGEST_MAX_RESULT_BYTES,
    LONGEST_SPAN,
    MAX_PARTITIONS,
)
from taskline_service.names import QUEUE
from taskline_service.queue_order import EVERY_QUEUE, QueueChoice, QueueOrder

_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,63}")
_QUEUE_AND_WEIGHT = re.compile(rf"(?P<queue>{QUEUE.pattern})(=(?P<weight>1000|[0-9]{{1,3}}))?")
_TASKS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_UNITS_S = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_PORT = 65535
# Beyond it a dead worker would go unnoticed for longer than anyone means to wait.
_MAX_SPAN_S = timedelta(days=1).total_seconds()


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level as `logging` knows it."""
        return logging.getLevelNamesMapping()[self.upper()]


class LogFormat(StrEnum):
    """What a record of the log looks like."""

    # For people on a terminal, for programs elsewhere.
    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"

    @property
    def as_json(self) -> bool:
        """Whether it is for programs."""
        return self is LogFormat.JSON or (self is LogFormat.AUTO and not sys.stderr.isatty())


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"


class WrongOption(ValueError):
    """An option that is wrong, or contradicts another one; `option` is its name, `--…`."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a server listens; port 0 means any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, option: str = "--listen") -> Self:
        """From HOST:PORT, an IPv6 address in brackets."""
        host, colon, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not colon or not bare or (":" in bare) != (host != bare):
            raise WrongOption(option, f"{text!r} is not HOST:PORT")
        if not re.fullmatch("[0-9]{1,5}", port) or int(port) > _MAX_PORT:
            raise WrongOption(option, f"{port!r} is not a port from 0 to {_MAX_PORT}")
        return cls(bare, int(port))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def with_port(self, port: int) -> "ListenAddress":
        """The same host, with the port that was found."""
        return ListenAddress(self.host, port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """Which store: exactly one of the two is set."""

    # redis://, rediss:// or unix://; may hold a password, so it is never shown.
    redis_url: str | None
    # Of an embedded store.
    data_dir: Path | None

    @classmethod
    def parse(cls, redis_url: str | None, data_dir: Path | None) -> Self:
        """From the two options; with neither, an embedded store in the default place."""
        # Here, so that the command line starts without what a store needs.
        from taskline_service.embedded import default_data_dir

        if redis_url is None:
            return cls(None, (data_dir or default_data_dir()).absolute())
        if data_dir is not None:
            raise WrongOption(
                "--redis-url", "contradicts --data-dir: data lies in one place or the other"
            )
        _check_redis_url(redis_url)
        return cls(redis_url, None)


def tasks(text: str) -> str:
    """MODULE:ATTRIBUTE of a registry."""
    if not _TASKS.fullmatch(text):
        raise WrongOption("--tasks", f"{text!r} is not MODULE:ATTRIBUTE")
    return text


def listen(text: str, *, insecure: bool) -> ListenAddress:
    """An address that others cannot reach, unless that is asked for."""
    address = ListenAddress.parse(text)
    if not address.loopback and not insecure:
        raise WrongOption(
            "--listen",
            f"{address.host} can be reached from other machines, and there are no TLS and no "
            "tokens yet; add --insecure if that network is trusted",
        )
    return address


def metrics_listen(text: str | None, *, workers: int = 0) -> ListenAddress | None:
    """Where metrics can be read; they hold no ids and no data, so any address will do.

    The workers beside a server need the ports after it.
    """
    if text is None:
        return None
    address = ListenAddress.parse(text, option="--metrics-listen")
    if address.port + workers > _MAX_PORT:
        raise WrongOption("--metrics-listen", f"leaves no ports above for {workers} workers")
    return address


def _check_redis_url(url: str) -> None:
    # Here for the same reason.
    from taskline_service.store.address import InvalidRedisUrl, parse_redis_url

    try:
        parse_redis_url(url)
    except InvalidRedisUrl as error:
        raise WrongOption("--redis-url", str(error)) from error


def namespace(text: str) -> str:
    """A name that can be part of a key."""
    if not _NAMESPACE.fullmatch(text):
        raise WrongOption("--namespace", f"{text!r} is not 1 to 63 characters of [A-Za-z0-9_-]")
    return text


def partitions(count: int) -> int:
    """Into how many partitions a namespace is divided."""
    if not 1 <= count <= MAX_PARTITIONS:
        raise WrongOption("--partitions", f"must be from 1 to {MAX_PARTITIONS}")
    return count


def workers(count: int | None, tasks: str | None) -> int:
    """How many worker processes: by default one if there are tasks to run."""
    if count is None:
        return 1 if tasks else 0
    if count < 0:
        raise WrongOption("--workers", "must be at least 0")
    if count and not tasks:
        raise WrongOption("--workers", "needs --tasks: a worker has to know the tasks' code")
    return count


def queues(text: str | None, *, strict_order: bool) -> QueueChoice:
    """Queues from A,B or, with weights, A=3,B=1; none means every queue."""
    if text is None:
        if strict_order:
            raise WrongOption("--strict-order", "needs --queues, which says what the order is")
        return EVERY_QUEUE
    named = [_QUEUE_AND_WEIGHT.fullmatch(part.strip()) for part in text.split(",")]
    weights = {match["queue"]: int(match["weight"] or 1) for match in named if match}
    if not all(named) or not all(weights.values()):
        raise WrongOption(
            "--queues",
            f"{text!r} is not a list of queues with commas between, each with or without "
            "a weight from 1 to 1000, as in A=3,B",
        )
    weighted = any(match["weight"] for match in named if match)
    if weighted and len(weights) < len(named):
        raise WrongOption("--queues", f"{text!r} gives one of its queues two weights")
    if weighted and strict_order:
        raise WrongOption("--strict-order", "contradicts weights in --queues")
    if strict_order:
        return QueueChoice(weights, QueueOrder.STRICT)
    return QueueChoice(weights, QueueOrder.WEIGHTED if weighted else QueueOrder.URGENCY)


def at_least_one(option: str, count: int) -> int:
    """A count that must not be 0."""
    if count < 1:
        raise WrongOption(option, "must be at least 1")
    return count


def not_negative(option: str, count: int) -> int:
    """A count that may be 0."""
    if count < 0:
        raise WrongOption(option, "must be at least 0")
    return count


def seconds(text: str) -> float:
    """Of a span: a number of seconds, or one with a unit, as in 90s, 15m, 2h, 7d, 500ms.

    Raises:
        ValueError: It is something else.
    """
    number = text.rstrip("smhd")
    unit = text.removeprefix(number)
    if unit not in _UNITS_S:
        raise ValueError(f"{unit!r} is not a unit")
    return float(number) * _UNITS_S[unit]


def span(option: str, seconds: float, *, least: float, most: float = _MAX_SPAN_S) -> timedelta:
    """A span of at least so many seconds."""
    if not math.isfinite(seconds) or not least <= seconds <= most:
        raise WrongOption(option, f"must be from {least} to {most:.0f} seconds")
    return timedelta(seconds=seconds)


def ttls(result_s: float, record_s: float) -> tuple[timedelta, timedelta]:
    """How long results and records are kept; a result never longer than its record."""
    most = LONGEST_SPAN.total_seconds()
    result = span("--result-ttl", result_s, least=1, most=most)
    record = span("--record-ttl", record_s, least=1, most=most)
    if record < result:
        raise WrongOption("--record-ttl", "must not be shorter than --result-ttl")
    return result, record


def max_input_size(size: int) -> int:
    """The largest input, in bytes."""
    return _size("--max-input-size", size, LARGEST_MAX_INPUT_BYTES)


def max_result_size(size: int) -> int:
    """The largest result, in bytes."""
    return _size("--max-result-size", size, LARGEST_MAX_RESULT_BYTES)


def _size(option: str, size: int, most: int) -> int:
    if not 1 <= size <= most:
        raise WrongOption(option, f"must be from 1 to {most} bytes")
    return size
