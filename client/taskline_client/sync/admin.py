"""AdminClient for code without an event loop: each method waits for its answer."""

from datetime import timedelta
from typing import Self

from taskline_client import admin as asynchronous
from taskline_client.admin import BULK_TIMEOUT
from taskline_client.deployment import Queue
from taskline_client.requests import TaskFilter
from taskline_client.sync._deployment_calls import DeploymentCalls
from taskline_client.sync._portal import Portal
from taskline_client.types import Task


class AdminClient(DeploymentCalls):
    """As taskline_client.AdminClient, which says more; one for all threads of a process.

    Once closed, it raises ClientClosed.
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
        self._client = asynchronous.AdminClient(address, timeout=timeout)
        super().__init__(Portal(), self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. Calls under way, of whichever thread, raise ClientClosed."""
        self._portal.close(self._client.close())

    # Queues

    def pause_queue(self, queue: str) -> Queue:
        """Hand out none of its tasks, until it is resumed."""
        return self._portal.call(self._client.pause_queue(queue))

    def resume_queue(self, queue: str) -> Queue:
        """Hand out the tasks of a paused queue again."""
        return self._portal.call(self._client.resume_queue(queue))

    # One task

    def retry_task(self, task_id: str) -> Task:
        """Put an ended task back on its queue, with a fresh budget of attempts."""
        return self._portal.call(self._client.retry_task(task_id))

    def delete_task(self, task_id: str) -> None:
        """Remove an ended task and everything stored about it."""
        return self._portal.call(self._client.delete_task(task_id))

    # Many tasks: in bounded steps. If a call ends early, what was done stays done.

    def cancel_tasks(
        self,
        tasks: TaskFilter,
        *,
        reason: str = "",
        validate_only: bool = False,
        timeout: timedelta = BULK_TIMEOUT,
    ) -> int:
        """Ask every task that matches and has not ended to stop; the number of them."""
        return self._portal.call(
            self._client.cancel_tasks(
                tasks, reason=reason, validate_only=validate_only, timeout=timeout
            )
        )

    def retry_tasks(
        self,
        tasks: TaskFilter,
        *,
        validate_only: bool = False,
        timeout: timedelta = BULK_TIMEOUT,
    ) -> int:
        """Put every FAILED task that matches back on its queue; the number of them."""
        return self._portal.call(
            self._client.retry_tasks(tasks, validate_only=validate_only, timeout=timeout)
        )

    def delete_tasks(
        self,
        tasks: TaskFilter,
        *,
        validate_only: bool = False,
        timeout: timedelta = BULK_TIMEOUT,
    ) -> int:
        """Remove every ended task that matches; the number of them."""
        return self._portal.call(
            self._client.delete_tasks(tasks, validate_only=validate_only, timeout=timeout)
        )
