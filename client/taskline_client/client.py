"""TaskClient: hand tasks to Taskline, find them again, see what the deployment does."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, ParamSpec, Self, TypeVar, overload

from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert_deployment import (
    task_type_from,
)
from taskline_client._deployment_calls import DeploymentCalls
from taskline_client._enqueue import enqueue_batch, enqueue_one
from taskline_client._folding import Folding
from taskline_client._gather import Gathering
from taskline_client._pages import page_from, pages
from taskline_client._requests import list_request, watch_request
from taskline_client.deployment import TaskTypeInfo
from taskline_client.events import TaskEvent
from taskline_client.handle import TaskHandle, watch
from taskline_client.requests import NO_INPUT, EnqueueOptions, EnqueueRequest, TaskFilter
from taskline_client.typed import TaskType, TypedTask
from taskline_client.types import Task, TaskPage

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # the input
R = TypeVar("R")


class TaskClient(Gathering, DeploymentCalls):
    """Speaks to a Taskline server; one for all tasks of a process.

    Any call may raise Unavailable if there is no answer in time, NotAllowed, or
    another CallFailed.
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
        super().__init__(Connection(address, timeout=timeout))
        self._folding = Folding(self._connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect. Calls under way, and any later one, raise ClientClosed; tasks go on."""
        await self._connection.close()

    @overload
    async def enqueue(
        self,
        task: str,
        input: Any = NO_INPUT,
        /,
        *,
        options: EnqueueOptions | None = None,
        **arguments: Any,
    ) -> TaskHandle[Any]: ...
    @overload
    async def enqueue(
        self, task: TaskType[None, R], /, *, options: EnqueueOptions | None = None
    ) -> TaskHandle[R]: ...
    @overload
    async def enqueue(
        self, task: TaskType[I, R], input: I, /, *, options: EnqueueOptions | None = None
    ) -> TaskHandle[R]: ...
    @overload
    async def enqueue(
        self, task: TypedTask[P, R], /, *args: P.args, **arguments: P.kwargs
    ) -> TaskHandle[R]: ...
    @overload
    async def enqueue(
        self,
        task: TypedTask[P, R],
        options: EnqueueOptions,
        /,
        *args: P.args,
        **arguments: P.kwargs,
    ) -> TaskHandle[R]: ...
    async def enqueue(self, task: Any, /, *args: Any, **arguments: Any) -> TaskHandle[Any]:
        """Hand a task to the service; it is stored when this returns.

            await client.enqueue(count_words, path="README.md")
            await client.enqueue(count_words, EnqueueOptions(priority=9), path="README.md")
            await client.enqueue(COUNT_WORDS, CountWords(path="README.md"))
            await client.enqueue("text.count_words", path="README.md")

        Args:
            task: What to run. A task function of the service, with its arguments but for the
                TaskContext; the options, if any, come before them. Or a TaskType, with its
                input, if it takes one. Or the name of a task type, with the whole input (a
                dict, a dataclass or a model), or its arguments by name.
            options: Queue, time, retries and so on. By name, a task with an argument named
                `options` takes its input as a whole.

        Raises:
            TaskTypeNotFound: Nobody has registered this type.
            InvalidInput: The input does not fit the task; `violations` tells where.
            TaskAlreadyExists: The task_id of the options is taken.
            QueueFull: The queue takes no more now.
            Unavailable: No answer in time. Safe to repeat with the same request_id.
            TypeError, ValueError: The arguments do not fit the function, or the input cannot
                be written as JSON.
        """
        return await enqueue_one(self._folding, EnqueueRequest(task, *args, **arguments))

    @overload
    async def run(
        self,
        task: str,
        input: Any = NO_INPUT,
        /,
        *,
        options: EnqueueOptions | None = None,
        **arguments: Any,
    ) -> Any: ...
    @overload
    async def run(
        self, task: TaskType[None, R], /, *, options: EnqueueOptions | None = None
    ) -> R: ...
    @overload
    async def run(
        self, task: TaskType[I, R], input: I, /, *, options: EnqueueOptions | None = None
    ) -> R: ...
    @overload
    async def run(self, task: TypedTask[P, R], /, *args: P.args, **arguments: P.kwargs) -> R: ...
    @overload
    async def run(
        self,
        task: TypedTask[P, R],
        options: EnqueueOptions,
        /,
        *args: P.args,
        **arguments: P.kwargs,
    ) -> R: ...
    async def run(self, task: Any, /, *args: Any, **arguments: Any) -> Any:
        """Enqueue a task, and wait for its result: for 5 minutes.

        To wait longer or shorter, `enqueue` it, and ask its handle.

        Args: As `enqueue`.

        Raises: As `enqueue`, and as `TaskHandle.result`. A call that is cancelled, or gives
            up, leaves the task alone.
        """
        request: EnqueueRequest[Any] = EnqueueRequest(task, *args, **arguments)
        return await (await enqueue_one(self._folding, request)).result()

    async def enqueue_many(self, requests: Iterable[EnqueueRequest[R]]) -> list[TaskHandle[R]]:
        """Hand over many tasks in few calls; the handles come in the same order.

        Calls carry up to 1000 tasks. Each is accepted whole or not at all, so
        on an error those of the calls before it stay accepted: give each request
        a request_id of its own to be able to repeat.

        Raises: As `enqueue`; `status.metadata["index"]` is the position in
            `requests` of the first one that is wrong.
        """
        return await enqueue_batch(self._connection, requests)

    def handle(self, task_id: str) -> TaskHandle[Any]:
        """The handle of a task whose id is known. Makes no call."""
        return TaskHandle(self._connection, task_id)

    async def get(self, task_id: str) -> Task:
        """As TaskHandle.get."""
        return await self.handle(task_id).get()

    async def cancel(self, task_id: str, reason: str = "") -> Task:
        """As TaskHandle.cancel."""
        return await self.handle(task_id).cancel(reason)

    def watch(self, *task_ids: str, resume_token: str = "") -> AsyncGenerator[TaskEvent, None]:
        """Follow up to 1000 tasks at once, until all have ended.

        As TaskHandle.watch of tasks by their ids: what happened before is in
        their Snapshots, but for log lines and outputs.

        Args:
            task_ids: All must exist.
            resume_token: Go on after the event that had this token, of a watch of
                the same tasks; or from a Task that has it.
        """
        return watch(self._connection, watch_request(task_ids, resume_token=resume_token))

    def watch_tasks(
        self, tasks: TaskFilter | None = None, *, resume_token: str = ""
    ) -> AsyncGenerator[TaskEvent, None]:
        """Follow every task that matches, also those to come. Ends only with you.

        Goes on by itself, as `watch`. The first event of each task is a Snapshot.

        Args:
            tasks: Only these; by queue, task type and label. None for all tasks.
            resume_token: Go on from the event, or the TaskPage, that has this token, with the
                same filter. Without one, from now on.

        Raises:
            InvalidInput: The filter has a field that can only be listed by.
            ResumeTokenExpired: What has happened since is no longer kept. List the tasks again, and
                go on from there.
            TokenInvalid: The token is of another filter.
        """
        request = watch_request(tasks=tasks or TaskFilter(), resume_token=resume_token)
        return watch(self._connection, request)

    async def list_tasks(
        self,
        tasks: TaskFilter | None = None,
        *,
        oldest_first: bool = False,
        page_size: int = 100,
    ) -> AsyncGenerator[Task, None]:
        """Every task that matches, newest first, fetched as needed."""

        async def fetch(token: str) -> TaskPage:
            return await self.list_page(
                tasks, oldest_first=oldest_first, page_size=page_size, page_token=token
            )

        async with aclosing(pages(fetch)) as all_pages:
            async for page in all_pages:
                for task in page.tasks:
                    yield task

    async def list_page(
        self,
        tasks: TaskFilter | None = None,
        *,
        oldest_first: bool = False,
        page_size: int = 100,
        page_token: str = "",
    ) -> TaskPage:
        """One page of `list_tasks`, with the number of all that match.

        Raises:
            TokenInvalid: The page token is not from the same list.
        """
        request = list_request(
            tasks, oldest_first=oldest_first, page_size=page_size, page_token=page_token
        )
        return page_from(await self._connection.call(self._connection.tasks.ListTasks, request))

    async def task_type(self, name: str) -> TaskTypeInfo:
        """One task type with its schemas.

        Raises:
            TaskTypeNotFound: Nobody has registered it.
        """
        request = service.GetTaskTypeRequest(name=name)
        answer = await self._connection.call(self._connection.tasks.GetTaskType, request)
        return task_type_from(answer.task_type)
