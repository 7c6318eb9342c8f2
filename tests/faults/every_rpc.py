"""One call of every RPC of the contract, so that a fault can be tried on all of them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc.aio

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_service_pb2 as tasks
from tests.faults.site import Refusal
from tests.stack import Stack

SERVICES = (
    tasks.DESCRIPTOR.services_by_name["TaskService"],
    admin.DESCRIPTOR.services_by_name["AdminService"],
)


@dataclass(frozen=True, slots=True)
class Rpc:
    """A call that can be made again and again."""

    method: Any
    request: Any

    @property
    def name(self) -> str:
        """Of the method."""
        return str(self.method.name)

    async def call(self, stack: Stack, *, timeout: float | None) -> "Answer":
        """Make the call; read a stream to its end."""
        stub = stack.stub if self.method.containing_service is SERVICES[0] else stack.admin
        began = time.monotonic()
        refusal, call = None, getattr(stub, self.name)(self.request, timeout=timeout)
        try:
            if isinstance(call, grpc.aio.UnaryStreamCall):
                async for _ in call:
                    pass
            else:
                await call
        except grpc.aio.AioRpcError as error:
            refusal = Refusal.of(error)
        return Answer(self.name, time.monotonic() - began, refusal)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended; without a refusal it was carried out."""

    name: str
    seconds: float
    refusal: Refusal | None


def every_rpc(task_type: str, task_id: str) -> Iterator[Rpc]:
    """All of them; of a task type and a task that exist."""
    enqueue = tasks.EnqueueRequest(task_type=task_type)
    requests = {
        "Enqueue": enqueue,
        "BatchEnqueue": tasks.BatchEnqueueRequest(requests=[enqueue] * 2),
        "Run": tasks.RunRequest(enqueue=enqueue),
        "GetTask": tasks.GetTaskRequest(task_id=task_id),
        "GetResult": tasks.GetResultRequest(task_id=task_id, wait=True),
        "DownloadResult": tasks.DownloadResultRequest(task_id=task_id),
        "Watch": tasks.WatchRequest(task_ids=[task_id]),
        "ListTaskEvents": tasks.ListTaskEventsRequest(task_id=task_id),
        "CancelTask": tasks.CancelTaskRequest(task_id=task_id),
        "GetTaskType": tasks.GetTaskTypeRequest(name=task_type),
        "PauseQueue": admin.PauseQueueRequest(queue="other"),
        "ResumeQueue": admin.ResumeQueueRequest(queue="other"),
        "RetryTask": admin.RetryTaskRequest(task_id=task_id),
        "DeleteTask": admin.DeleteTaskRequest(task_id=task_id),
        "CancelTasks": admin.CancelTasksRequest(filter=tasks.TaskFilter()),
        "RetryTasks": admin.RetryTasksRequest(filter=tasks.TaskFilter()),
        "DeleteTasks": admin.DeleteTasksRequest(filter=tasks.TaskFilter()),
    }
    for service in SERVICES:
        for method in service.methods:
            module = tasks if service is SERVICES[0] else admin
            empty = getattr(module, method.input_type.name)
            yield Rpc(method, requests.get(method.name) or empty())
    yield Rpc(SERVICES[0].methods_by_name["Watch"], tasks.WatchRequest(filter=tasks.TaskFilter()))
