"""TaskService: check the request, call the store, convert the answer.

Domain errors pass through: interceptor.py gives each its status. What an RPC does is said in
the contract.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceServicer
from taskline_service import names, telemetry
from taskline_service.errors import InvalidInput
from taskline_service.limits import MAX_WATCHES, PayloadSizes
from taskline_service.offload import off_loop
from taskline_service.rpc import downloading, fields, listing, statistics, tokens, waiting
from taskline_service.rpc.answers import answer, checked_answer, refusal, task_of
from taskline_service.rpc.batching import batch_enqueue
from taskline_service.rpc.catalog import TaskCatalog
from taskline_service.rpc.convert import error_to_pb, task_to_pb, task_type_to_pb
from taskline_service.rpc.enqueueing import in_trace, new_task
from taskline_service.rpc.enums import is_full, payload_format
from taskline_service.rpc.filter_selection import Selection
from taskline_service.rpc.fitting import that_fit
from taskline_service.rpc.history import list_task_events
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.payload import to_translate
from taskline_service.rpc.places import Places
from taskline_service.rpc.sharing import heed
from taskline_service.rpc.translating import ResultTranslation
from taskline_service.rpc.watch_options import WatchOptions, options_of
from taskline_service.rpc.watch_streams import WatchStreams
from taskline_service.store import (
    ByPartition,
    EventHubs,
    Folding,
    TaskStore,
    answered_by,
    before_patience_ends,
)
from taskline_service.store.values import Enqueued, NewTask
from taskline_service.task import Task, TaskState

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import grpc.aio

    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = Any

TYPES_PER_PAGE = 100

_Enqueuing: TypeAlias = "asyncio.Task[tuple[NewTask, Enqueued]]"


class TaskServicer(TaskServiceServicer):
    """Enqueues, follows, lists and cancels tasks."""

    def __init__(
        self,
        store: TaskStore,
        hubs: EventHubs,
        catalog: TaskCatalog,
        lifetime: Lifetime,
        *,
        sizes: PayloadSizes,
        longest_wait: timedelta,
    ) -> None:
        self._store = store
        # Each for the tasks of one partition, so that one that is away holds up no other.
        self._folding = ByPartition(Folding(store) for _ in store.partitions)
        self._hubs = hubs
        self._catalog = catalog
        self._lifetime = lifetime
        self._sizes = sizes
        self._longest_wait = longest_wait
        self._translation = ResultTranslation()
        self._streams = WatchStreams(store, hubs, lifetime)
        self._watches = Places(MAX_WATCHES)
        self._cancelling: set[asyncio.Task[None]] = set()

    # Accepting tasks

    async def Enqueue(self, request: pb.EnqueueRequest, context: Context) -> pb.EnqueueResponse:
        self._lifetime.check()
        new = await new_task(request, self._catalog, self._sizes.max_input)
        if request.validate_only:
            (outcome,) = await self._store.check([new])
            return await checked_answer(self._store, new, outcome)
        return await answer(self._store, *await self._enqueue(new))

    async def BatchEnqueue(
        self, request: pb.BatchEnqueueRequest, context: Context
    ) -> pb.BatchEnqueueResponse:
        self._lifetime.check()
        return await batch_enqueue(request, self._store, self._catalog, self._sizes.max_input)

    async def Run(
        self, request: pb.RunRequest, context: Context
    ) -> AsyncIterator[task_pb2.TaskEvent]:
        self._lifetime.check()
        if request.enqueue.validate_only:
            raise InvalidInput.of("enqueue.validate_only", "is refused here: use Enqueue")
        options = WatchOptions(payload_format=payload_format(request.payload_format))
        new = await new_task(request.enqueue, self._catalog, self._sizes.max_input)

        enqueuing: _Enqueuing | None = None

        async def begin() -> Task:
            nonlocal enqueuing
            enqueuing = self._enqueue_anyway(new)
            outcome = await before_patience_ends(asyncio.shield(enqueuing))
            return await task_of(self._store, *outcome)

        stream = self._streams.of_task(new.spec.id, options)
        try:
            with telemetry.watching():
                async with aclosing(stream.events(begin=begin)) as events:
                    async for event in events:
                        yield event
        except (asyncio.CancelledError, GeneratorExit):
            if request.cancel_on_disconnect and enqueuing and not stream.ended:
                self._cancel_later(enqueuing)
            raise

    async def _enqueue(self, new: NewTask) -> tuple[NewTask, Enqueued]:
        spec = new.spec
        with telemetry.enqueue_span(
            spec.queue, spec.id, spec.task_type, trace_context=spec.trace
        ) as trace:
            new = in_trace(new, trace)
            with telemetry.send_operation([spec.queue]):
                outcome = await self._folding.of(spec.id).enqueue(new)
        return new, outcome

    def _enqueue_anyway(self, new: NewTask) -> _Enqueuing:
        """Go on also when the call is over: only then it is known whose task has the id."""
        with answered_by(None):
            enqueuing = asyncio.create_task(self._enqueue(new))
        enqueuing.add_done_callback(heed)
        return enqueuing

    def _cancel_later(self, enqueuing: _Enqueuing) -> None:
        # The call is over and cancelled: what it still has to do runs by itself.
        with answered_by(None):
            cancelling = asyncio.create_task(self._cancel_accepted(enqueuing))
        self._cancelling.add(cancelling)
        cancelling.add_done_callback(self._after_cancelling)

    async def _cancel_accepted(self, enqueuing: _Enqueuing) -> None:
        new, outcome = await enqueuing
        if refusal(new, outcome) is None:
            await self._store.cancel(new.spec.id, reason="the call that ran the task was ended")

    def _after_cancelling(self, cancelling: asyncio.Task[None]) -> None:
        self._cancelling.discard(cancelling)
        if not cancelling.cancelled() and (error := cancelling.exception()):
            log.warning("a task was not cancelled after its call had ended: %s", error)

    # Reading

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        full = is_full(request.view, default=task_pb2.TASK_VIEW_FULL)
        form = payload_format(request.payload_format)
        task = await self._store.get(fields.task_id(request.task_id), full=full)
        size = to_translate(len(task.spec.input), form)
        message = await off_loop(size, task_to_pb, task, full=full, payload_format=form)
        return pb.GetTaskResponse(task=message)

    async def GetResult(
        self, request: pb.GetResultRequest, context: Context
    ) -> pb.GetResultResponse:
        task_id, form = fields.task_id(request.task_id), payload_format(request.payload_format)
        wait = waiting.wait_seconds(
            request,
            longest=self._longest_wait,
            now_us=time.time_ns() // 1000,
            remaining=context.time_remaining(),
        )
        task, result = await waiting.outcome(
            self._store, self._hubs.of(task_id), self._lifetime, task_id, wait=wait or 0.0
        )
        _tell_of_result(task)
        response = pb.GetResultResponse(task=task_to_pb(task))
        if not task.state.terminal:
            response.wait_timed_out = wait is not None
        elif task.state is TaskState.COMPLETED:
            if result is None:
                raise downloading.expired(task)
            payload = await self._translation.of(task, result, form)
            if payload is not None:
                response.result.CopyFrom(payload)
        elif task.error is not None:
            error = error_to_pb(task.error, with_traceback=True)
            assert error is not None
            response.error.CopyFrom(error)
        return response

    async def DownloadResult(
        self, request: pb.DownloadResultRequest, context: Context
    ) -> AsyncIterator[pb.DownloadResultResponse]:
        self._lifetime.check()
        async with aclosing(downloading.chunks(request, self._store, self._lifetime)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[task_pb2.TaskEvent]:
        self._lifetime.check()
        options = options_of(request)
        with self._watches.one(), telemetry.watching():
            if request.HasField("filter"):
                follow = self._watch_filter(request, options)
            else:
                follow = self._streams.of_tasks(request.task_ids, options, request.resume_token)
            async with aclosing(follow) as events:
                async for event in events:
                    yield event

    def _watch_filter(
        self, request: pb.WatchRequest, options: WatchOptions
    ) -> AsyncGenerator[task_pb2.TaskEvent, None]:
        return self._streams.of_filter(Selection.of(request.filter), options, request.resume_token)

    async def ListTaskEvents(
        self, request: pb.ListTaskEventsRequest, context: Context
    ) -> pb.ListTaskEventsResponse:
        return await list_task_events(request, self._store)

    async def ListTasks(
        self, request: pb.ListTasksRequest, context: Context
    ) -> pb.ListTasksResponse:
        query, count = listing.query_of(request)
        page = await self._store.list(query, count=count)
        inputs = sum(len(task.spec.input) for task in page.tasks)
        size = to_translate(inputs, request.payload_format)
        return await off_loop(size, listing.page_to_pb, request, query, page)

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.GetStatsResponse:
        window, queues = statistics.window_of(request), sorted(set(request.queues))
        stats = await self._store.stats(window=window, queues=queues or None)
        return statistics.stats_to_pb(stats)

    async def CancelTask(
        self, request: pb.CancelTaskRequest, context: Context
    ) -> pb.CancelTaskResponse:
        task_id = fields.task_id(request.task_id)
        await self._store.cancel(task_id, reason=fields.reason(request.reason))
        return pb.CancelTaskResponse(task=task_to_pb(await self._store.get(task_id)))

    async def ListTaskTypes(
        self, request: pb.ListTaskTypesRequest, context: Context
    ) -> pb.ListTaskTypesResponse:
        count = fields.page_size(request.page_size, default=TYPES_PER_PAGE)
        after = tokens.name_after(request.page_token, "task types")
        known = [info for info in await self._catalog.all() if info.name > after]
        told = that_fit(task_type_to_pb(info, with_schemas=False) for info in known[:count])
        names = [info.name for info in known]
        return pb.ListTaskTypesResponse(
            task_types=told, next_page_token=tokens.name_token(names, len(told), "task types")
        )

    async def GetTaskType(
        self, request: pb.GetTaskTypeRequest, context: Context
    ) -> pb.GetTaskTypeResponse:
        check = fields.Checker()
        check.text("name", request.name, names.TASK_TYPE, names.TASK_TYPE_RULE)
        check.raise_if_wrong()
        info = await self._catalog.find(request.name)
        return pb.GetTaskTypeResponse(task_type=task_type_to_pb(info, with_schemas=True))


def _tell_of_result(task: Task) -> None:
    if not log.isEnabledFor(logging.INFO):
        return
    about = {
        "task_id": task.id,
        "task_type": task.spec.task_type,
        "queue": task.spec.queue,
        "state": task.state.value,
    }
    if trace_id := telemetry.trace_id_of(task.spec.trace):
        about["trace_id"] = trace_id
    log.info("task %s: GetResult: %s", task.id, task.state, extra=about)
