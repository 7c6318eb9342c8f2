"""Which tasks a filter selects, of those conditions that a watch takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc import tokens
from taskline_service.task import Task

CONDITIONS = frozenset({"queues", "task_types", "labels"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tasks to watch; what is empty selects all."""

    queues: frozenset[str] = frozenset()
    task_types: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, chosen: pb.TaskFilter) -> "Selection":
        """From a filter with none but the conditions that a watch takes."""
        return cls(frozenset(chosen.queues), frozenset(chosen.task_types), dict(chosen.labels))

    @property
    def subscription(self) -> bytes:
        """What its tokens are bound to."""
        return tokens.filter_subscription(self.queues, self.task_types, self.labels)

    def wants_line(self, line: str) -> bool:
        """Whether tasks of this type on this queue can be meant."""
        task_type, _, queue = line.partition(":")
        return (not self.task_types or task_type in self.task_types) and (
            not self.queues or queue in self.queues
        )

    def wants(self, task: Task) -> bool:
        """Whether a task of a wanted line is meant."""
        return self.labels.items() <= task.spec.labels.items()
