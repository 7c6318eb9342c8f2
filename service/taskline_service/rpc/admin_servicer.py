"""AdminService: what operators see and do."""

from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from taskline.v1 import admin_service_pb2 as pb
from taskline.v1.admin_service_pb2_grpc import AdminServiceServicer
from taskline.v1.task_service_pb2 import TaskFilter
from taskline_service.limits import PayloadSizes
from taskline_service.rpc import bulk, fields, tokens
from taskline_service.rpc.convert import (
    duration,
    queue_to_pb,
    task_to_pb,
    timestamp,
    worker_to_pb,
)
from taskline_service.rpc.fitting import that_fit
from taskline_service.store import Directory, QueueInfo, TaskStore
from taskline_service.task import TERMINAL_STATES, TaskState

if TYPE_CHECKING:
    import grpc.aio

    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = Any

DEFAULT_PAGE_SIZE = 100
_NOT_ENDED = frozenset(TaskState) - TERMINAL_STATES


class AdminServicer(AdminServiceServicer):
    """Operates the deployment."""

    def __init__(
        self,
        store: TaskStore,
        directory: Directory,
        *,
        sizes: PayloadSizes,
        longest_wait: timedelta,
        started_us: int,
    ) -> None:
        self._store = store
        self._directory = directory
        self._sizes = sizes
        self._longest_wait = longest_wait
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
            partitions=len(self._store.partitions),
            max_input_size=self._sizes.max_input,
            max_result_size=self._sizes.max_result,
            max_wait=duration(self._longest_wait),
            default_result_ttl=duration(self._store.result_ttl),
            record_ttl=duration(self._store.record_ttl),
            store_refusal=await self._directory.refusal(),
        )

    async def ListQueues(
        self, request: pb.ListQueuesRequest, context: Context
    ) -> pb.ListQueuesResponse:
        count = fields.page_size(request.page_size, default=DEFAULT_PAGE_SIZE)
        after = tokens.name_after(request.page_token, "queues")
        queues = await self._directory.queues(after=after, count=count + 1)
        return pb.ListQueuesResponse(
            queues=[self._queue_to_pb(queue) for queue in queues[:count]],
            next_page_token=tokens.name_token([q.name for q in queues], count, "queues"),
        )

    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: Context
    ) -> pb.ListWorkersResponse:
        count = fields.page_size(request.page_size, default=DEFAULT_PAGE_SIZE)
        after = tokens.name_after(request.page_token, "workers")
        workers = await self._directory.workers(after=after, count=count + 1)
        told = that_fit(worker_to_pb(worker) for worker in workers[:count])
        return pb.ListWorkersResponse(
            workers=told,
            next_page_token=tokens.name_token([w.id for w in workers], len(told), "workers"),
        )

    # Operations

    async def PauseQueue(
        self, request: pb.PauseQueueRequest, context: Context
    ) -> pb.PauseQueueResponse:
        queue = await self._directory.pause(fields.queue(request.queue))
        return pb.PauseQueueResponse(queue=self._queue_to_pb(queue))

    async def ResumeQueue(
        self, request: pb.ResumeQueueRequest, context: Context
    ) -> pb.ResumeQueueResponse:
        queue = await self._directory.resume(fields.queue(request.queue))
        return pb.ResumeQueueResponse(queue=self._queue_to_pb(queue))

    async def RetryTask(
        self, request: pb.RetryTaskRequest, context: Context
    ) -> pb.RetryTaskResponse:
        task_id = fields.task_id(request.task_id)
        await self._store.retry(task_id)
        return pb.RetryTaskResponse(task=task_to_pb(await self._store.get(task_id)))

    async def DeleteTask(
        self, request: pb.DeleteTaskRequest, context: Context
    ) -> pb.DeleteTaskResponse:
        await self._store.delete(fields.task_id(request.task_id))
        return pb.DeleteTaskResponse()

    async def CancelTasks(
        self, request: pb.CancelTasksRequest, context: Context
    ) -> pb.CancelTasksResponse:
        reason = fields.reason(request.reason)
        chosen = bulk.select(_filter_of(request), possible=_NOT_ENDED)
        count = await bulk.for_each_step(
            self._store,
            chosen,
            partial(self._store.cancel_many, states=chosen.states or (), reason=reason),
            changes=lambda task: not task.cancel_request_us,
            validate_only=request.validate_only,
        )
        return pb.CancelTasksResponse(count=count)

    async def RetryTasks(
        self, request: pb.RetryTasksRequest, context: Context
    ) -> pb.RetryTasksResponse:
        chosen = bulk.select(
            _filter_of(request),
            possible=TERMINAL_STATES,
            unless_named=TERMINAL_STATES - {TaskState.FAILED},
        )
        count = await bulk.for_each_step(
            self._store,
            chosen,
            partial(self._store.retry_many, states=chosen.states or ()),
            validate_only=request.validate_only,
        )
        return pb.RetryTasksResponse(count=count)

    async def DeleteTasks(
        self, request: pb.DeleteTasksRequest, context: Context
    ) -> pb.DeleteTasksResponse:
        chosen = bulk.select(_filter_of(request), possible=TERMINAL_STATES)
        count = await bulk.for_each_step(
            self._store,
            chosen,
            partial(self._store.delete_many, states=chosen.states or ()),
            validate_only=request.validate_only,
        )
        return pb.DeleteTasksResponse(count=count)

    def _queue_to_pb(self, queue: QueueInfo) -> pb.Queue:
        return queue_to_pb(queue, max_queued=self._store.max_queued)


def _filter_of(
    request: pb.CancelTasksRequest | pb.RetryTasksRequest | pb.DeleteTasksRequest,
) -> TaskFilter | None:
    return request.filter if request.HasField("filter") else None
