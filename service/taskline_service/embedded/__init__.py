"""The store that `taskline serve` brings along: a real Valkey or Redis server as a child.

It listens on a unix socket only, keeps its data in a directory between runs, and is
gone when its parent is gone, however that ended.
"""

from taskline_service.embedded.data_dir import default_data_dir, has_data, join
from taskline_service.embedded.errors import (
    DataDirInUse,
    DataDirUnusable,
    EmbeddedStoreError,
    ServerEnded,
    ServerNotFound,
    StoreNotRunning,
)
from taskline_service.embedded.process import EmbeddedStore

__all__ = [
    "DataDirInUse",
    "DataDirUnusable",
    "EmbeddedStore",
    "EmbeddedStoreError",
    "ServerEnded",
    "ServerNotFound",
    "StoreNotRunning",
    "default_data_dir",
    "has_data",
    "join",
]
