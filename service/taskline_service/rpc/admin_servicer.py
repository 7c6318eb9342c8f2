"""AdminService: what operators see and do."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from taskline.v1 import admin_service_pb2 as pb
from taskline.v1.admin_service_pb2_grpc import AdminServiceServicer
from taskline_service.errors import NotSupportedYet
from taskline_service.limits import LONGEST_WAIT, PayloadSizes
from taskline_service.rpc import fields, tokens
from taskline_service.rpc.convert import duration, queue_to_pb, timestamp, worker_to_pb
from taskline_service.store import Directory, TaskStore

if TYPE_CHECKING:
    import grpc.aio

    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = Any

DEFAULT_PAGE_SIZE = 100
PARTITIONS = 1


class AdminServicer(AdminServiceServicer):
    """Operates the deployment."""

    def __init__(
        self, store: TaskStore, directory: Directory, *, sizes: PayloadSizes, started_us: int
    ) -> None:
        self._store = store
        self._directory = directory
        self._sizes = sizes
        self._started_us = started_us

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        info = await self._directory.store_info()
        return pb.GetServerInfoResponse(
            version=version("taskline"),
            namespace=self._store.keys.namespace,
            start_time=timestamp(self._started_us),
            store_time=timestamp(info.time_us),
            store_version=info.version_text,
            store_persistence=info.persistence,
            store_eviction_policy=info.eviction_policy,
            store_latency=duration(info.latency),
            partitions=PARTITIONS,
            max_input_size=self._sizes.max_input,
            max_result_size=self._sizes.max_result,
            max_wait=duration(LONGEST_WAIT),
            default_result_ttl=duration(self._store.result_ttl),
            record_ttl=duration(self._store.record_ttl),
        )

    async def ListQueues(
        self, request: pb.ListQueuesRequest, context: Context
    ) -> pb.ListQueuesResponse:
        count = fields.page_size(request.page_size, default=DEFAULT_PAGE_SIZE)
        after = tokens.name_after(request.page_token, "queues")
        queues = await self._directory.queues(after=after, count=count + 1)
        return pb.ListQueuesResponse(
            queues=[queue_to_pb(queue) for queue in queues[:count]],
            next_page_token=tokens.name_token([q.name for q in queues], count, "queues"),
        )

    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: Context
    ) -> pb.ListWorkersResponse:
        count = fields.page_size(request.page_size, default=DEFAULT_PAGE_SIZE)
        after = tokens.name_after(request.page_token, "workers")
        workers = await self._directory.workers(after=after, count=count + 1)
        return pb.ListWorkersResponse(
            workers=[worker_to_pb(worker) for worker in workers[:count]],
            next_page_token=tokens.name_token([w.id for w in workers], count, "workers"),
        )

    # What a later version completes

    async def PauseQueue(
        self, request: pb.PauseQueueRequest, context: Context
    ) -> pb.PauseQueueResponse:
        raise _not_yet("PauseQueue")

    async def ResumeQueue(
        self, request: pb.ResumeQueueRequest, context: Context
    ) -> pb.ResumeQueueResponse:
        raise _not_yet("ResumeQueue")

    async def RetryTask(
        self, request: pb.RetryTaskRequest, context: Context
    ) -> pb.RetryTaskResponse:
        raise _not_yet("RetryTask")

    async def DeleteTask(
        self, request: pb.DeleteTaskRequest, context: Context
    ) -> pb.DeleteTaskResponse:
        raise _not_yet("DeleteTask")

    async def CancelTasks(
        self, request: pb.CancelTasksRequest, context: Context
    ) -> pb.CancelTasksResponse:
        raise _not_yet("CancelTasks")

    async def RetryTasks(
        self, request: pb.RetryTasksRequest, context: Context
    ) -> pb.RetryTasksResponse:
        raise _not_yet("RetryTasks")

    async def DeleteTasks(
        self, request: pb.DeleteTasksRequest, context: Context
    ) -> pb.DeleteTasksResponse:
        raise _not_yet("DeleteTasks")


def _not_yet(method: str) -> NotSupportedYet:
    return NotSupportedYet(f"{method}: not supported by this version yet")
