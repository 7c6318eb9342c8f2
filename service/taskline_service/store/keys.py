"""The name of every Redis key and channel, in one place; lua/_prelude.lua says what each holds."""

import zlib
from dataclasses import dataclass
from typing import Self


def partition_of(task_id: str, partitions: int) -> int:
    """Which of so many partitions a task is in: the same for everybody, and for ever."""
    return zlib.crc32(task_id.encode()) % partitions if partitions > 1 else 0


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one partition of a namespace, as bytes."""

    namespace: str
    # From 0, and how many there are.
    partition: int = 0
    partitions: int = 1

    @classmethod
    def of_all(cls, namespace: str, partitions: int) -> list[Self]:
        """Those of every partition."""
        return [cls(namespace, partition, partitions) for partition in range(partitions)]

    @property
    def prefix(self) -> bytes:
        """What all of them start with; its hash tag keeps them in one slot."""
        return f"taskline:{{{self.namespace}.{self.partition}}}:".encode()

    def hold(self, task_id: str) -> bool:
        """Whether a task belongs in this partition."""
        return partition_of(task_id, self.partitions) == self.partition

    @property
    def log(self) -> bytes:
        """The stream of all events."""
        return self.prefix + b"log"

    @property
    def revision(self) -> bytes:
        """The counter of calls that changed tasks."""
        return self.prefix + b"rev"

    @property
    def ready(self) -> bytes:
        """The lines that have waiting tasks."""
        return self.prefix + b"ready"

    @property
    def lines(self) -> bytes:
        """The lines that have tasks."""
        return self.prefix + b"lines"

    @property
    def paused(self) -> bytes:
        """Queues that hand out nothing."""
        return self.prefix + b"paused"

    @property
    def failed_by(self) -> bytes:
        """How many tasks failed for which type of error."""
        return self.prefix + b"failed_by"

    @property
    def types(self) -> bytes:
        """Published task types by name."""
        return self.prefix + b"types"

    @property
    def events_channel(self) -> bytes:
        """Where events are published."""
        return self.prefix + b"events"

    @property
    def wake_channel(self) -> bytes:
        """Where it is said that a line has tasks."""
        return self.prefix + b"wake"

    @property
    def cancel_channel(self) -> bytes:
        """Where running tasks are asked to stop."""
        return self.prefix + b"cancel"


def line(task_type: str, queue: str) -> str:
    """Tasks of one type on one queue; types have no colon, so this can be split again."""
    return f"{task_type}:{queue}"


def label(key: str, value: str) -> str:
    """A label as it is indexed; keys have no equals sign."""
    return f"{key}={value}"


def split_line(text: str) -> tuple[str, str]:
    """The task type and the queue of a line; ValueError if it is none."""
    task_type, queue = text.split(":", 1)
    return task_type, queue
