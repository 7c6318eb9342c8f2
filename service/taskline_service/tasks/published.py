"""What is published about a task type, so that others can use it without its code."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from taskline_service.task import RetryPolicy

_US = timedelta(microseconds=1)

JsonSchema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTypeInfo:
    """A task type as servers, workers and clients know it.

    A schema is None where nothing is declared: then anything that is JSON will do.
    """

    name: str
    description: str = ""
    queue: str = "default"
    input_schema: JsonSchema | None = None
    output_schema: JsonSchema | None = None
    execution_timeout: timedelta = timedelta(minutes=5)
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

    def to_json(self) -> bytes:
        """For the store: equal task types give equal bytes."""
        retry = self.retry_policy
        document = {
            "name": self.name,
            "description": self.description,
            "queue": self.queue,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "execution_timeout_us": self.execution_timeout // _US,
            "retry_policy": {
                "max_attempts": retry.max_attempts,
                "initial_backoff_us": retry.initial_backoff // _US,
                "max_backoff_us": retry.max_backoff // _US,
                "backoff_multiplier": retry.backoff_multiplier,
            },
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "TaskTypeInfo":
        """Read back what to_json() wrote."""
        document = json.loads(data)
        retry = document["retry_policy"]
        return cls(
            name=document["name"],
            description=document["description"],
            queue=document["queue"],
            input_schema=document["input_schema"],
            output_schema=document["output_schema"],
            execution_timeout=document["execution_timeout_us"] * _US,
            retry_policy=RetryPolicy(
                max_attempts=retry["max_attempts"],
                initial_backoff=retry["initial_backoff_us"] * _US,
                max_backoff=retry["max_backoff_us"] * _US,
                backoff_multiplier=retry["backoff_multiplier"],
            ),
        )
