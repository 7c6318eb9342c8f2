"""What can be wrong with the embedded store, said so that a person knows what to do.

EmbeddedStoreError
├── ServerNotFound      no Valkey or Redis to run
├── DataDirUnusable     the data directory cannot be made or written
├── DataDirInUse        another `taskline serve` has it
├── StoreNotRunning     there is nothing to join
└── ServerEnded         the server ended, or never came up
"""


class EmbeddedStoreError(Exception):
    """The embedded store cannot be had; the message is for the person who asked for it."""


class ServerNotFound(EmbeddedStoreError):
    """There is no Valkey or Redis server on this machine."""


class DataDirUnusable(EmbeddedStoreError):
    """The data directory cannot be made, read or written."""


class DataDirInUse(EmbeddedStoreError):
    """Another process serves this data directory."""


class StoreNotRunning(EmbeddedStoreError):
    """Nobody serves this data directory."""


class ServerEnded(EmbeddedStoreError):
    """The server ended by itself, or did not answer in time."""

    @property
    def summary(self) -> str:
        """The message without the end of the server's log."""
        return str(self).partition("\n")[0].rstrip(":")
