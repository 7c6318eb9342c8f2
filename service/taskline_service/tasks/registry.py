"""The tasks of a program: the decorator that makes a function a task."""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, cast

from taskline_service.task import RetryPolicy
from taskline_service.tasks.declaration import (
    check_max_result_size,
    check_name,
    check_queue,
    check_retry,
    check_timeout,
    checked_executor,
)
from taskline_service.tasks.definition import TaskDefinition, define
from taskline_service.tasks.function import Decorator
from taskline_service.tasks.published import TaskTypeInfo


class TaskRegistry:
    """Task types by name.

    tasks = TaskRegistry()

    @tasks.task("text.count_words", queue="text")
    async def count_words(ctx: TaskContext, path: str, *, top: int = 10) -> WordCount: ...
    """

    def __init__(self) -> None:
        self._tasks: dict[str, TaskDefinition] = {}

    def task(
        self,
        name: str,
        *,
        queue: str = "default",
        timeout: timedelta = timedelta(minutes=5),
        max_attempts: int = 3,
        initial_backoff: timedelta = timedelta(seconds=1),
        max_backoff: timedelta = timedelta(minutes=5),
        backoff_multiplier: float = 2.0,
        max_result_size: int | None = None,
        description: str | None = None,
        executor: Literal["auto", "process"] = "auto",
    ) -> Decorator:
        """Register the decorated function, which stays the function that it is.

        Whoever can import it enqueues it: `client.enqueue(count_words, path="README.md")`.

        Args:
            name: Of the task type, 1 to 128 characters of [A-Za-z0-9._-].
            queue: Used unless the enqueuer names another.
            timeout: Longest time for one attempt.
            max_attempts: Attempts in total; -1 for no limit.
            initial_backoff: Delay before the second attempt.
            max_backoff: Longest delay.
            backoff_multiplier: Growth of the delay per attempt, at least 1.
            max_result_size: Largest result, in bytes of its JSON; a larger one fails the task.
                The smaller of this and the worker's own limit (`--max-result-size`) counts:
                a type can be stricter than its service, never laxer.
            description: For people; the docstring unless given.
            executor: "process" runs the function in a child process of the worker, one task
                at a time: for work that keeps a processor busy. Otherwise `async def` runs
                on the event loop, and a plain function in a thread.

        Raises:
            ValueError: Any of these is wrong, the name is taken, or the function
                cannot be a task.
        """
        retry = RetryPolicy(
            max_attempts=max_attempts,
            initial_backoff=initial_backoff,
            max_backoff=max_backoff,
            backoff_multiplier=backoff_multiplier,
        )
        check_name(name)
        check_queue(name, queue)
        check_timeout(name, timeout)
        check_retry(name, retry)
        check_max_result_size(name, max_result_size)
        place = checked_executor(name, executor)
        info = TaskTypeInfo(
            name=name,
            description=description or "",
            queue=queue,
            execution_timeout=timeout,
            retry_policy=retry,
        )
        # Where the decorator is applied: annotations that are strings may name what is there.
        local_names = dict(sys._getframe(1).f_locals)

        def register(function: Any) -> Any:
            definition = define(function, info, local_names, max_result_size=max_result_size)
            self._add(replace(definition, executor=place))
            if inspect.isfunction(function):  # what is bound or built in takes no attributes
                definition.tell(function)
            return function

        return cast(Decorator, register)

    def include(self, other: "TaskRegistry") -> None:
        """Take over the tasks of another registry.

        Raises:
            ValueError: A name is taken; then nothing was taken over.
        """
        for definition in other:
            self._check_free(definition.name)
        self._tasks.update(other._tasks)

    def get(self, name: str) -> TaskDefinition | None:
        """The task of this name, or None."""
        return self._tasks.get(name)

    def __getitem__(self, name: str) -> TaskDefinition:
        return self._tasks[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def __iter__(self) -> Iterator[TaskDefinition]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def _add(self, definition: TaskDefinition) -> None:
        self._check_free(definition.name)
        self._tasks[definition.name] = definition

    def _check_free(self, name: str) -> None:
        if name in self._tasks:
            raise ValueError(f"task type {name!r} is registered already")
