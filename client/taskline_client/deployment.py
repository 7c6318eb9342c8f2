"""What a deployment tells about itself: task types, queues, workers, the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from taskline_client.types import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTypeInfo:
    """A kind of task that the deployment can run. Schemas come with `task_type()` only."""

    name: str
    description: str = ""
    queue: str = ""
    # JSON Schema (2020-12); None if not declared.
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    execution_timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A line of waiting tasks."""

    name: str
    paused: bool = False
    queued_count: int = 0
    scheduled_count: int = 0
    running_count: int = 0
    # How long the first waiting task has been due.
    oldest_age: timedelta | None = None
    # 0 for no limit.
    max_queued: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process that executes tasks."""

    id: str
    identity: str = ""
    queues: tuple[str, ...] = ()
    task_types: tuple[str, ...] = ()
    # Tasks that it may run at once.
    concurrency: int = 0
    running_task_ids: tuple[str, ...] = ()
    start_time: datetime | None = None
    heartbeat_time: datetime | None = None
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """The server that answered, and its store."""

    version: str
    namespace: str = ""
    start_time: datetime | None = None
    store_time: datetime | None = None
    store_version: str = ""
    store_persistence: str = ""
    store_eviction_policy: str = ""
    store_latency: timedelta | None = None
    # Why the store takes no new tasks now; empty if it takes them.
    store_refusal: str = ""
    # Bytes.
    max_input_size: int = 0
    max_result_size: int = 0
    max_wait: timedelta | None = None
    default_result_ttl: timedelta | None = None
    record_ttl: timedelta | None = None
