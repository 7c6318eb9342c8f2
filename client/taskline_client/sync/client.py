"""TaskClient for code without an event loop: each method waits for its answer."""

from collections.abc import Generator, Iterable
from datetime import timedelta
from typing import Any, ParamSpec, Self, TypeVar, overload

from taskline_client import client as asynchronous
from taskline_client._enqueue import enqueue_one
from taskline_client.deployment import TaskTypeInfo
from taskline_client.events import TaskEvent
from taskline_client.handle import TaskHandle as AsyncTaskHandle
from taskline_client.requests import NO_INPUT, EnqueueOptions, EnqueueRequest, TaskFilter
from taskline_client.sync._deployment_calls import DeploymentCalls
from taskline_client.sync._gather import Gathering
from taskline_client.sync._portal import Portal
from taskline_client.sync.handle import TaskHandle
from taskline_client.typed import TaskType, TypedTask
from taskline_client.types import Task, TaskPage

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # the input
R = TypeVar("R")


class TaskClient(Gathering, DeploymentCalls):
    """As taskline_client.TaskClient, which says more; one for all threads of a process.

    Once closed, it raises ClientClosed.
    """

    def __init__(
        self, address: str = "127.0.0.1:50051", *, timeout: timedelta = timedelta(seconds=10)
    ) -> None:
        """Connects at the first call.

        Args:
            address: HOST:PORT, or any gRPC target.
            timeout: Longest time for one call, retries included. Waiting for a
                result and watching have limits of their own.
        """
        self._client = asynchronous.TaskClient(address, timeout=timeout)
        super().__init__(Portal(), self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. Calls under way, of whichever thread, raise ClientClosed."""
        self._portal.close(self._client.close())

    @overload
    def enqueue(
        self,
        task: str,
        input: Any = NO_INPUT,
        /,
        *,
        options: EnqueueOptions | None = None,
        **arguments: Any,
    ) -> TaskHandle[Any]: ...
    @overload
    def enqueue(
        self, task: TaskType[None, R], /, *, options: EnqueueOptions | None = None
    ) -> TaskHandle[R]: ...
    @overload
    def enqueue(
        self, task: TaskType[I, R], input: I, /, *, options: EnqueueOptions | None = None
    ) -> TaskHandle[R]: ...
    @overload
    def enqueue(
        self, task: TypedTask[P, R], /, *args: P.args, **arguments: P.kwargs
    ) -> TaskHandle[R]: ...
    @overload
    def enqueue(
        self,
        task: TypedTask[P, R],
        options: EnqueueOptions,
        /,
        *args: P.args,
        **arguments: P.kwargs,
    ) -> TaskHandle[R]: ...
    def enqueue(self, task: Any, /, *args: Any, **arguments: Any) -> TaskHandle[Any]:
        """Hand a task to the service; it is stored when this returns.

        client.enqueue(count_words, path="README.md")
        client.enqueue(count_words, EnqueueOptions(priority=9), path="README.md")
        client.enqueue(COUNT_WORDS, CountWords(path="README.md"))
        client.enqueue("text.count_words", path="README.md")
        """
        # Made here: what the caller's models do, they do in the caller's thread.
        request: EnqueueRequest[Any] = EnqueueRequest(task, *args, **arguments)
        return self._handle(self._portal.call(enqueue_one(self._client._folding, request)))

    @overload
    def run(
        self,
        task: str,
        input: Any = NO_INPUT,
        /,
        *,
        options: EnqueueOptions | None = None,
        **arguments: Any,
    ) -> Any: ...
    @overload
    def run(self, task: TaskType[None, R], /, *, options: EnqueueOptions | None = None) -> R: ...
    @overload
    def run(
        self, task: TaskType[I, R], input: I, /, *, options: EnqueueOptions | None = None
    ) -> R: ...
    @overload
    def run(self, task: TypedTask[P, R], /, *args: P.args, **arguments: P.kwargs) -> R: ...
    @overload
    def run(
        self,
        task: TypedTask[P, R],
        options: EnqueueOptions,
        /,
        *args: P.args,
        **arguments: P.kwargs,
    ) -> R: ...
    def run(self, task: Any, /, *args: Any, **arguments: Any) -> Any:
        """Enqueue a task, and wait for its result for 5 minutes."""
        handle: TaskHandle[Any] = self.enqueue(task, *args, **arguments)
        return handle.result()

    def enqueue_many(self, requests: Iterable[EnqueueRequest[R]]) -> list[TaskHandle[R]]:
        """Hand over many tasks in few calls."""
        handles = self._portal.call(self._client.enqueue_many(list(requests)))
        return [self._handle(handle) for handle in handles]

    def handle(self, task_id: str) -> TaskHandle[Any]:
        """The handle of a task whose id is known. Makes no call."""
        return self._handle(self._client.handle(task_id))

    def get(self, task_id: str) -> Task:
        """As TaskHandle.get."""
        return self._portal.call(self._client.get(task_id))

    def cancel(self, task_id: str, reason: str = "") -> Task:
        """As TaskHandle.cancel."""
        return self._portal.call(self._client.cancel(task_id, reason))

    def watch(self, *task_ids: str, resume_token: str = "") -> Generator[TaskEvent, None, None]:
        """Follow up to 1000 tasks at once, until all have ended."""
        return self._portal.iterate(self._client.watch(*task_ids, resume_token=resume_token))

    def watch_tasks(
        self, tasks: TaskFilter | None = None, *, resume_token: str = ""
    ) -> Generator[TaskEvent, None, None]:
        """Follow every task that matches, also those to come. Ends only with you."""
        return self._portal.iterate(self._client.watch_tasks(tasks, resume_token=resume_token))

    def list_tasks(
        self,
        tasks: TaskFilter | None = None,
        *,
        oldest_first: bool = False,
        page_size: int = 100,
    ) -> Generator[Task, None, None]:
        """Every task that matches, newest first, fetched as needed."""
        return self._portal.iterate(
            self._client.list_tasks(tasks, oldest_first=oldest_first, page_size=page_size)
        )

    def list_page(
        self,
        tasks: TaskFilter | None = None,
        *,
        oldest_first: bool = False,
        page_size: int = 100,
        page_token: str = "",
    ) -> TaskPage:
        """One page of `list_tasks`."""
        return self._portal.call(
            self._client.list_page(
                tasks, oldest_first=oldest_first, page_size=page_size, page_token=page_token
            )
        )

    def task_type(self, name: str) -> TaskTypeInfo:
        """One task type with its schemas."""
        return self._portal.call(self._client.task_type(name))

    def _handle(self, handle: "AsyncTaskHandle[R]") -> TaskHandle[R]:
        return TaskHandle(self._portal, handle)
