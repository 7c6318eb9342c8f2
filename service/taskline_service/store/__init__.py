"""Tasks in Redis: one Lua script per move, and the reading of what they leave.

Nothing outside this package speaks to Redis.
"""

from taskline_service.store.address import InvalidRedisUrl, RedisAddress, parse_redis_url
from taskline_service.store.changes import Emitted, End, Event, Gap, Logged, StateChange
from taskline_service.store.connection import StoreError
from taskline_service.store.directory import (
    Directory,
    QueueInfo,
    StoreInfo,
    WorkerInfo,
)
from taskline_service.store.events import EventHub, Mailbox
from taskline_service.store.folding import Folding
from taskline_service.store.keys import Keys
from taskline_service.store.partitioned import (
    ByPartition,
    EventHubs,
    PartitionedStore,
    WrongPartitions,
    at_once,
    check_partitions,
    directory_of,
    opened,
)
from taskline_service.store.redis import Redis, Subscription, answered_by, before_patience_ends
from taskline_service.store.scripted import new_call
from taskline_service.store.store import TaskStore

__all__ = [
    "ByPartition",
    "Directory",
    "Emitted",
    "End",
    "Event",
    "EventHub",
    "EventHubs",
    "Folding",
    "Gap",
    "InvalidRedisUrl",
    "Keys",
    "Logged",
    "Mailbox",
    "PartitionedStore",
    "QueueInfo",
    "Redis",
    "RedisAddress",
    "StateChange",
    "StoreError",
    "StoreInfo",
    "Subscription",
    "TaskStore",
    "WorkerInfo",
    "WrongPartitions",
    "answered_by",
    "at_once",
    "before_patience_ends",
    "check_partitions",
    "directory_of",
    "new_call",
    "opened",
    "parse_redis_url",
]
