"""AdminClient: operate a deployment, its queues, its workers and its tasks in bulk."""

from datetime import timedelta
from typing import Self

from taskline.v1 import admin_service_pb2 as admin
from taskline_client._connection import Connection
from taskline_client._convert import task_from
from taskline_client._convert_deployment import (
    queue_from,
)
from taskline_client._deployment_calls import DeploymentCalls
from taskline_client._requests import task_filter
from taskline_client.deployment import Queue
from taskline_client.requests import TaskFilter
from taskline_client.types import Task

# Many tasks take their time, and what such a call has done stays done.
BULK_TIMEOUT = timedelta(minutes=10)


class AdminClient(DeploymentCalls):
    """Speaks to a Taskline server as its operator does.

    Any call may raise Unavailable if there is no answer in time, NotAllowed, or
    another CallFailed.
    """

    def __init__(
        self, address: str = "127.0.0.1:50051", *, timeout: timedelta = timedelta(seconds=10)
    ) -> None:
        """Connects at the first call.

        Args:
            address: HOST:PORT, or any gRPC target.
            timeout: Longest time for one call, retries included. Calls about many
                tasks have one of their own.
        """
        super().__init__(Connection(address, timeout=timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect. Calls under way, and any later one, raise ClientClosed."""
        await self._connection.close()

    # Queues

    async def pause_queue(self, queue: str) -> Queue:
        """Hand out none of its tasks, until it is resumed.

        Tasks can still be enqueued, and those that run go on. One that has no tasks
        yet can be paused, too.
        """
        request = admin.PauseQueueRequest(queue=queue)
        answer = await self._connection.call(self._connection.admin.PauseQueue, request)
        return queue_from(answer.queue)

    async def resume_queue(self, queue: str) -> Queue:
        """Hand out the tasks of a paused queue again."""
        request = admin.ResumeQueueRequest(queue=queue)
        answer = await self._connection.call(self._connection.admin.ResumeQueue, request)
        return queue_from(answer.queue)

    # One task

    async def retry_task(self, task_id: str) -> Task:
        """Put an ended task back on its queue, with a fresh budget of attempts.

        Not repeated by itself when the answer is lost: look at the task first.

        Raises:
            TaskNotFound: There is no such task.
            WrongState: It has not ended.
        """
        request = admin.RetryTaskRequest(task_id=task_id)
        answer = await self._connection.call(self._connection.admin.RetryTask, request)
        return task_from(answer.task)

    async def delete_task(self, task_id: str) -> None:
        """Remove an ended task and everything stored about it.

        Raises:
            TaskNotFound: There is no such task.
            WrongState: It has not ended.
        """
        request = admin.DeleteTaskRequest(task_id=task_id)
        await self._connection.call(self._connection.admin.DeleteTask, request)

    # Many tasks: in bounded steps. If a call ends early, what was done stays done, and
    # repeating it does the rest.

    async def cancel_tasks(
        self,
        tasks: TaskFilter,
        *,
        reason: str = "",
        validate_only: bool = False,
        timeout: timedelta = BULK_TIMEOUT,
    ) -> int:
        """Ask every task that matches and has not ended to stop; the number of them.

        Args:
            tasks: Which; an empty filter matches every task.
            reason: Shown in each task's error, at most 500 characters.
            validate_only: Only count them.
            timeout: For the whole of it.
        """
        request = admin.CancelTasksRequest(
            filter=task_filter(tasks), reason=reason, validate_only=validate_only
        )
        method = self._connection.admin.CancelTasks
        return (await self._connection.call(method, request, timeout=timeout)).count

    async def retry_tasks(
        self,
        tasks: TaskFilter,
        *,
        validate_only: bool = False,
        timeout: timedelta = BULK_TIMEOUT,
    ) -> int:
        """Put every FAILED task that matches back on its queue; the number of them.

        Args:
            tasks: Which; an empty filter matches every failed task. CANCELLED and
                COMPLETED ones only if `states` names them.
            validate_only: Only count them.
            timeout: For the whole of it.
        """
        request = admin.RetryTasksRequest(filter=task_filter(tasks), validate_only=validate_only)
        method = self._connection.admin.RetryTasks
        return (await self._connection.call(method, request, timeout=timeout)).count

    async def delete_tasks(
        self,
        tasks: TaskFilter,
        *,
        validate_only: bool = False,
        timeout: timedelta = BULK_TIMEOUT,
    ) -> int:
        """Remove every ended task that matches; the number of them.

        Args:
            tasks: Which; an empty filter matches every ended task.
            validate_only: Only count them.
            timeout: For the whole of it.
        """
        request = admin.DeleteTasksRequest(filter=task_filter(tasks), validate_only=validate_only)
        method = self._connection.admin.DeleteTasks
        return (await self._connection.call(method, request, timeout=timeout)).count
