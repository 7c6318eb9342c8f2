"""What a process was told to do: the options of `serve`, `worker` and `fsck`, checked.

Read where a process starts only; everything else takes plain arguments.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from taskline_service import limits, option_values
from taskline_service.option_values import (
    ListenAddress,
    LogFormat,
    LogLevel,
    ReportFormat,
    StoreChoice,
    WrongOption,
    seconds,
)
from taskline_service.queue_order import QueueChoice

__all__ = [
    "FsckConfig",
    "ListenAddress",
    "LogFormat",
    "LogLevel",
    "ReportFormat",
    "ServeConfig",
    "StoreChoice",
    "WorkerConfig",
    "WrongOption",
    "seconds",
]

DEFAULT_LISTEN = "127.0.0.1:50051"
DEFAULT_NAMESPACE = "default"
DEFAULT_CONCURRENCY = 10
DEFAULT_LEASE_S = 30.0
DEFAULT_GRACE_S = 30.0
DEFAULT_MAX_INPUT_SIZE = limits.MAX_INPUT_BYTES
DEFAULT_MAX_RESULT_SIZE = limits.MAX_RESULT_BYTES
DEFAULT_MAX_WAIT_S = limits.LONGEST_WAIT.total_seconds()
DEFAULT_RESULT_TTL_S = 24 * 3600.0
DEFAULT_RECORD_TTL_S = 7 * 24 * 3600.0
DEFAULT_MAX_LOST = limits.MAX_LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """What `taskline serve` was told."""

    # MODULE:ATTRIBUTE of the registry; without it, only workers elsewhere know task types.
    tasks: str | None
    listen: ListenAddress
    # Whether callers may ask what there is to call.
    reflection: bool
    store: StoreChoice
    namespace: str
    # Into how many its tasks are divided.
    partitions: int
    # Worker processes beside the server.
    workers: int
    # Tasks at once per worker process.
    concurrency: int
    lease: timedelta
    grace: timedelta
    # Largest input accepted and largest result kept, in bytes.
    max_input_size: int
    max_result_size: int
    # How long results and records are kept after the end.
    result_ttl: timedelta
    record_ttl: timedelta
    # Workers that a task may lose before it fails.
    max_lost: int
    # Waiting tasks that a queue may have before Enqueue is refused; 0 for no limit.
    max_queued: int
    # How long GetResult waits at most.
    longest_wait: timedelta
    log_level: LogLevel
    log_format: LogFormat
    # Where metrics can be read; None for nowhere.
    metrics_listen: ListenAddress | None

    @classmethod
    def from_options(
        cls,
        *,
        tasks: str | None = None,
        listen: str = DEFAULT_LISTEN,
        redis_url: str | None = None,
        data_dir: Path | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        partitions: int = 1,
        workers: int | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        lease_s: float = DEFAULT_LEASE_S,
        grace_s: float = DEFAULT_GRACE_S,
        max_input_size: int = DEFAULT_MAX_INPUT_SIZE,
        max_result_size: int = DEFAULT_MAX_RESULT_SIZE,
        result_ttl_s: float = DEFAULT_RESULT_TTL_S,
        record_ttl_s: float = DEFAULT_RECORD_TTL_S,
        max_lost: int = DEFAULT_MAX_LOST,
        max_queued: int = 0,
        max_wait_s: float = DEFAULT_MAX_WAIT_S,
        insecure: bool = False,
        reflection: bool | None = None,
        log_level: LogLevel = LogLevel.INFO,
        log_format: LogFormat = LogFormat.AUTO,
        metrics_listen: str | None = None,
    ) -> Self:
        """Check the options of the command line.

        Raises:
            WrongOption: One of them is wrong, or two contradict each other.
        """
        address = option_values.listen(listen, insecure=insecure)
        result_ttl, record_ttl = option_values.ttls(result_ttl_s, record_ttl_s)
        beside = option_values.workers(workers, tasks)
        return cls(
            tasks=option_values.tasks(tasks) if tasks is not None else None,
            listen=address,
            reflection=address.loopback if reflection is None else reflection,
            store=StoreChoice.parse(redis_url, data_dir),
            namespace=option_values.namespace(namespace),
            partitions=option_values.partitions(partitions),
            workers=beside,
            concurrency=option_values.at_least_one("--concurrency", concurrency),
            lease=option_values.span("--lease", lease_s, least=1),
            grace=option_values.span("--grace", grace_s, least=0),
            max_input_size=option_values.max_input_size(max_input_size),
            max_result_size=option_values.max_result_size(max_result_size),
            result_ttl=result_ttl,
            record_ttl=record_ttl,
            max_lost=option_values.at_least_one("--max-lost", max_lost),
            max_queued=option_values.not_negative("--max-queued", max_queued),
            longest_wait=option_values.span("--max-wait", max_wait_s, least=1, most=86400),
            log_level=log_level,
            log_format=log_format,
            metrics_listen=option_values.metrics_listen(metrics_listen, workers=beside),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What `taskline worker` was told."""

    # MODULE:ATTRIBUTE of the registry.
    tasks: str
    store: StoreChoice
    namespace: str
    # Into how many its tasks are divided.
    partitions: int
    queues: QueueChoice
    # Tasks at once.
    concurrency: int
    lease: timedelta
    grace: timedelta
    # Largest input accepted of tasks that tasks enqueue, and largest result kept, in bytes.
    max_input_size: int
    max_result_size: int
    # How long results and records are kept after the end.
    result_ttl: timedelta
    record_ttl: timedelta
    # Workers that a task may lose before it fails.
    max_lost: int
    # Waiting tasks that a queue may have before tasks can enqueue no more; 0 for no limit.
    max_queued: int
    log_level: LogLevel
    log_format: LogFormat
    # Where metrics can be read; None for nowhere.
    metrics_listen: ListenAddress | None

    @classmethod
    def from_options(
        cls,
        *,
        tasks: str,
        redis_url: str | None = None,
        data_dir: Path | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        partitions: int = 1,
        queues: str | None = None,
        strict_order: bool = False,
        concurrency: int = DEFAULT_CONCURRENCY,
        lease_s: float = DEFAULT_LEASE_S,
        grace_s: float = DEFAULT_GRACE_S,
        max_input_size: int = DEFAULT_MAX_INPUT_SIZE,
        max_result_size: int = DEFAULT_MAX_RESULT_SIZE,
        result_ttl_s: float = DEFAULT_RESULT_TTL_S,
        record_ttl_s: float = DEFAULT_RECORD_TTL_S,
        max_lost: int = DEFAULT_MAX_LOST,
        max_queued: int = 0,
        log_level: LogLevel = LogLevel.INFO,
        log_format: LogFormat = LogFormat.AUTO,
        metrics_listen: str | None = None,
    ) -> Self:
        """Check the options of the command line.

        Raises:
            WrongOption: One of them is wrong, or two contradict each other.
        """
        result_ttl, record_ttl = option_values.ttls(result_ttl_s, record_ttl_s)
        return cls(
            tasks=option_values.tasks(tasks),
            store=StoreChoice.parse(redis_url, data_dir),
            namespace=option_values.namespace(namespace),
            partitions=option_values.partitions(partitions),
            queues=option_values.queues(queues, strict_order=strict_order),
            concurrency=option_values.at_least_one("--concurrency", concurrency),
            lease=option_values.span("--lease", lease_s, least=1),
            grace=option_values.span("--grace", grace_s, least=0),
            max_input_size=option_values.max_input_size(max_input_size),
            max_result_size=option_values.max_result_size(max_result_size),
            result_ttl=result_ttl,
            record_ttl=record_ttl,
            max_lost=option_values.at_least_one("--max-lost", max_lost),
            max_queued=option_values.not_negative("--max-queued", max_queued),
            log_level=log_level,
            log_format=log_format,
            metrics_listen=option_values.metrics_listen(metrics_listen),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FsckConfig:
    """What `taskline fsck` was told."""

    store: StoreChoice
    # A file to look at instead of the store.
    snapshot: Path | None
    namespace: str
    # Into how many its tasks are divided.
    partitions: int
    # Workers that a task may lose before it fails.
    max_lost: int
    # Whether to tell how each offence can be mended, and whether to do it.
    repair: bool
    confirmed: bool
    output: ReportFormat

    @classmethod
    def from_options(
        cls,
        *,
        redis_url: str | None = None,
        data_dir: Path | None = None,
        snapshot: Path | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        partitions: int = 1,
        max_lost: int = DEFAULT_MAX_LOST,
        repair: bool = False,
        confirmed: bool = False,
        output: ReportFormat = ReportFormat.TABLE,
    ) -> Self:
        """Check the options of the command line.

        Raises:
            WrongOption: One of them is wrong, or two contradict each other.
        """
        if snapshot is not None and (redis_url is not None or data_dir is not None):
            raise WrongOption("--snapshot", "contradicts --redis-url and --data-dir")
        if snapshot is not None and repair:
            raise WrongOption("--repair", "is for a store; a snapshot is never changed")
        if confirmed and not repair:
            raise WrongOption("--yes", "says that --repair may change the store, and needs it")
        return cls(
            store=StoreChoice.parse(redis_url, data_dir),
            snapshot=snapshot,
            namespace=option_values.namespace(namespace),
            partitions=option_values.partitions(partitions),
            max_lost=option_values.at_least_one("--max-lost", max_lost),
            repair=repair,
            confirmed=confirmed,
            output=output,
        )
