"""A namespace in several partitions, each with keys, an order and a log of its own.

Each task is in exactly one, by its id. So a partition is a whole store, and can be on a node of its
own in a cluster; what is here asks several of them, and makes one answer of theirs.
"""

from taskline_service.store.partitioned.by_partition import ByPartition, at_once
from taskline_service.store.partitioned.directory import directory_of
from taskline_service.store.partitioned.hubs import EventHubs
from taskline_service.store.partitioned.opening import (
    WrongPartitions,
    check_partitions,
    opened,
)
from taskline_service.store.partitioned.store import PartitionedStore

__all__ = [
    "ByPartition",
    "EventHubs",
    "PartitionedStore",
    "WrongPartitions",
    "at_once",
    "check_partitions",
    "directory_of",
    "opened",
]
