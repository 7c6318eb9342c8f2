"""A Taskline in the test's own process: real store, real sockets, real workers."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

import grpc.aio

from taskline.v1 import task_pb2, task_service_pb2
from taskline.v1.admin_service_pb2_grpc import AdminServiceStub
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_client import TaskClient
from taskline_service import TaskRegistry, telemetry
from taskline_service.limits import DEFAULT_SIZES, LONGEST_WAIT, PayloadSizes
from taskline_service.queue_order import QueueChoice
from taskline_service.rpc import RpcServer
from taskline_service.rpc.subtasks import SubtaskAnswers
from taskline_service.store import RedisAddress, TaskStore
from taskline_service.telemetry.working import WorkerTelemetry
from taskline_service.upkeep import Upkeep
from taskline_service.worker import Worker

LEASE = timedelta(seconds=5)


def divided(store: TaskStore) -> tuple[str, ...]:
    """What tells a process of ours how many partitions the store of a test has."""
    return ("--partitions", str(len(store.partitions)))


@dataclass(slots=True, kw_only=True)
class Stack:
    """One server with everything that speaks to it.

    Register tasks on `tasks` in the test, before the first worker starts. `client` is our own
    client, `stub` and `admin` are plain generated stubs: what other languages see.
    """

    store: TaskStore
    redis: RedisAddress
    tasks: TaskRegistry
    server: RpcServer
    address: str
    client: TaskClient
    stub: TaskServiceStub
    admin: AdminServiceStub
    sizes: PayloadSizes
    workers: list[Worker] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        store: TaskStore,
        redis: RedisAddress,
        *,
        sizes: PayloadSizes = DEFAULT_SIZES,
        longest_wait: timedelta = LONGEST_WAIT,
        hold: timedelta = timedelta(0),
    ) -> AsyncIterator[Self]:
        """Serve until the block ends.

        Without a `hold`, leases that run out are reclaimed at once, also after an outage.
        """
        tasks = TaskRegistry()
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(asyncio.TaskGroup())
            upkeep = group.create_task(
                Upkeep(store, hold=hold, on_failed=telemetry.task_failed).run()
            )
            stack.callback(upkeep.cancel)
            server = RpcServer(store, redis, tasks, sizes=sizes, longest_wait=longest_wait)
            port = await stack.enter_async_context(server.serving("127.0.0.1:0"))
            address = f"127.0.0.1:{port}"
            client = await stack.enter_async_context(TaskClient(address))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            yield cls(
                store=store,
                sizes=sizes,
                redis=redis,
                tasks=tasks,
                server=server,
                address=address,
                client=client,
                stub=TaskServiceStub(channel),
                admin=AdminServiceStub(channel),
            )

    @asynccontextmanager
    async def worker(
        self,
        *,
        queues: Sequence[str] = (),
        concurrency: int = 10,
        lease: timedelta = LEASE,
        tasks: TaskRegistry | None = None,
        tasks_at: str | None = None,
    ) -> AsyncIterator[Worker]:
        """A worker in this process, until the block ends; then it finishes what it runs."""
        worker_id = f"worker-{secrets.token_hex(4)}"
        tasks = self.tasks if tasks is None else tasks
        answers = SubtaskAnswers(self.store, self.redis, tasks, max_input_size=self.sizes.max_input)
        worker = Worker(
            self.store,
            self.redis,
            tasks,
            worker_id=worker_id,
            queues=QueueChoice(dict.fromkeys(queues, 1)),
            concurrency=concurrency,
            lease=lease,
            max_result_size=self.sizes.max_result,
            tasks_at=tasks_at,
            observer=WorkerTelemetry(worker_id),
            answers=answers,
        )
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(answers.run())
            running = group.create_task(worker.run())
            try:
                yield worker
            finally:
                worker.stop()
                await asyncio.wait([running], timeout=0.2)
                worker.release_all()
                await asyncio.wait([running])
                answering.cancel()

    async def state(self, task_id: str) -> "task_pb2.Task.State.ValueType":
        """The state of a task now."""
        request = task_service_pb2.GetTaskRequest(task_id=task_id)
        return (await self.stub.GetTask(request)).task.state

    async def until(
        self, task_id: str, condition: Callable[[task_pb2.Task], bool]
    ) -> task_pb2.Task:
        """Follow a task until it is as the test wants it; returns it as it is then."""
        call = self.stub.Watch(task_service_pb2.WatchRequest(task_ids=[task_id]))
        try:
            async for _ in call:
                request = task_service_pb2.GetTaskRequest(task_id=task_id)
                task = (await self.stub.GetTask(request)).task
                if condition(task):
                    return task
        finally:
            call.cancel()
        raise AssertionError(f"task {task_id} ended without ever meeting the condition")
