"""What callers and operators alike ask of a deployment: one class for both clients."""

from collections.abc import Iterable
from datetime import timedelta

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert_deployment import (
    queue_from,
    server_info_from,
    task_type_from,
    worker_from,
)
from taskline_client._convert_statistics import stats_from
from taskline_client._pages import pages
from taskline_client._requests import stats_request
from taskline_client.deployment import Queue, ServerInfo, TaskTypeInfo, Worker
from taskline_client.statistics import Stats


class DeploymentCalls:
    """The part of a client that looks at the deployment and changes nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def server_info(self) -> ServerInfo:
        """Version, store, limits and defaults of the server that answers."""
        request = admin.GetServerInfoRequest()
        answer = await self._connection.call(self._connection.admin.GetServerInfo, request)
        return server_info_from(answer)

    async def stats(self, queues: Iterable[str] = (), *, window: timedelta | None = None) -> Stats:
        """Counts of the tasks now known, and what happened lately.

        Args:
            queues: Only these; all if there are none.
            window: How far back the history reaches, 24 hours at most; an hour if None.
        """
        request = stats_request(queues, window)
        return stats_from(await self._connection.call(self._connection.tasks.GetStats, request))

    async def queues(self) -> list[Queue]:
        """The queues by name, with what waits on them."""

        async def fetch(token: str) -> admin.ListQueuesResponse:
            request = admin.ListQueuesRequest(page_token=token)
            return await self._connection.call(self._connection.admin.ListQueues, request)

        return [queue_from(queue) async for page in pages(fetch) for queue in page.queues]

    async def workers(self) -> list[Worker]:
        """The workers that have been heard of recently."""

        async def fetch(token: str) -> admin.ListWorkersResponse:
            request = admin.ListWorkersRequest(page_token=token)
            return await self._connection.call(self._connection.admin.ListWorkers, request)

        return [worker_from(worker) async for page in pages(fetch) for worker in page.workers]

    async def task_types(self) -> list[TaskTypeInfo]:
        """The task types that the deployment can run, by name, without schemas."""

        async def fetch(token: str) -> service.ListTaskTypesResponse:
            request = service.ListTaskTypesRequest(page_token=token)
            return await self._connection.call(self._connection.tasks.ListTaskTypes, request)

        return [task_type_from(t) async for page in pages(fetch) for t in page.task_types]
