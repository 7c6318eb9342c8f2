"""Answers to the tasks of a worker, by the same rules as to any caller, without a server."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

from google.protobuf.timestamp_pb2 import Timestamp

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import telemetry
from taskline_service.errors import TasklineError
from taskline_service.ids import new_id
from taskline_service.limits import LONGEST_WAIT
from taskline_service.rpc import fields
from taskline_service.rpc.answers import refusal
from taskline_service.rpc.catalog import TaskCatalog
from taskline_service.rpc.convert import duration
from taskline_service.rpc.downloading import expired
from taskline_service.rpc.enqueueing import in_trace, new_task
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.rpc.waiting import outcome
from taskline_service.store import EventHubs, RedisAddress, TaskStore, directory_of
from taskline_service.store.values import EnqueueStatus
from taskline_service.task import TaskState
from taskline_service.tasks import ConflictPolicy, RetryPolicy, TaskRegistry
from taskline_service.tasks.subtasks import Answer, AwaitEnd, Cancel, Enqueue, Question
from taskline_service.worker.persist import until_stored

_TRACE_KEYS = ("traceparent", "tracestate")
_CONFLICT_POLICIES = {
    ConflictPolicy.REJECT: pb.CONFLICT_POLICY_REJECT,
    ConflictPolicy.USE_EXISTING: pb.CONFLICT_POLICY_USE_EXISTING,
    ConflictPolicy.REPLACE_TERMINAL: pb.CONFLICT_POLICY_REPLACE_TERMINAL,
}


class SubtaskAnswers:
    """What a worker needs of a server for its own tasks: worker.asking.Answers."""

    def __init__(
        self, store: TaskStore, address: RedisAddress, tasks: TaskRegistry, *, max_input_size: int
    ) -> None:
        self._store = store
        self._max_input_size = max_input_size
        self._catalog = TaskCatalog(directory_of(store), tasks)
        self._hubs = EventHubs(store, address)
        self._lifetime = Lifetime()
        self._awaited = asyncio.Event()

    async def run(self) -> None:
        """Listen for the ends of tasks, once somebody waits for one; until cancelled."""
        await self._awaited.wait()
        await self._hubs.run()

    async def answer(self, question: Question, trace: Mapping[str, str]) -> Answer:
        """Do what is asked; a store that is away is waited for."""
        try:
            match question:
                case Enqueue():
                    return await self._enqueue(question, trace)
                case AwaitEnd():
                    return await self._end(question)
                case Cancel():
                    return await self._cancel(question)
                case _:
                    assert_never(question)
        except TasklineError as error:
            return Answer(refused=(error.reason, error.message))

    async def _enqueue(self, question: Enqueue, trace: Mapping[str, str]) -> Answer:
        request = _request(question)
        what = f"a task of type {question.task_type}"
        new = await until_stored(
            lambda: new_task(request, self._catalog, self._max_input_size), what
        )
        spec = new.spec
        with telemetry.enqueue_span(
            spec.queue,
            spec.id,
            spec.task_type,
            trace_context={key: trace[key] for key in _TRACE_KEYS if key in trace},
        ) as own:
            new = in_trace(new, own)
            (accepted,) = await until_stored(lambda: self._store.enqueue([new]), what)
        if (error := refusal(new, accepted)) is not None:
            raise error
        return Answer(task_id=spec.id, created=accepted.status is not EnqueueStatus.EXISTING)

    async def _end(self, question: AwaitEnd) -> Answer:
        clock = asyncio.get_running_loop().time
        over_at = None if question.seconds is None else clock() + question.seconds
        self._awaited.set()
        await self._hubs.listening()
        longest = LONGEST_WAIT.total_seconds()
        while True:
            wait = longest if over_at is None else min(max(over_at - clock(), 0.0), longest)
            task, result = await until_stored(
                lambda: outcome(
                    self._store,
                    self._hubs.of(question.task_id),
                    self._lifetime,
                    question.task_id,
                    wait=wait,  # noqa: B023
                ),
                f"task {question.task_id}",
            )
            if task.state is TaskState.COMPLETED:
                if result is None:
                    raise expired(task)
                return Answer(ended=True, result=result)
            if task.state.terminal:
                return Answer(
                    ended=True, error=task.error, cancelled=task.state is TaskState.CANCELLED
                )
            if over_at is not None and clock() >= over_at:
                return Answer()

    async def _cancel(self, question: Cancel) -> Answer:
        task_id, reason = fields.task_id(question.task_id), fields.reason(question.reason)
        await until_stored(lambda: self._store.cancel(task_id, reason=reason), f"task {task_id}")
        return Answer()


def _request(question: Enqueue) -> pb.EnqueueRequest:
    options, retries = question.options, question.options.retry_policy or RetryPolicy()
    return pb.EnqueueRequest(
        task_type=question.task_type,
        input=None if question.input is None else task_pb2.Payload(json_bytes=question.input),
        task_id=options.task_id or "",
        # Never without, so that it can be repeated if the store does not answer.
        request_id=options.request_id or new_id(),
        conflict_policy=_CONFLICT_POLICIES[options.conflict_policy],
        queue=options.queue or "",
        priority=options.priority,
        schedule_time=_instant(options.schedule_time),
        delay=duration(options.delay),
        queue_timeout=duration(options.queue_timeout),
        execution_timeout=duration(options.execution_timeout),
        retry_policy=task_pb2.RetryPolicy(
            max_attempts=retries.max_attempts or 0,
            initial_backoff=duration(retries.initial_backoff),
            max_backoff=duration(retries.max_backoff),
            backoff_multiplier=retries.backoff_multiplier or 0,
        ),
        result_ttl=duration(options.result_ttl),
        labels=options.labels,
    )


def _instant(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    value = Timestamp()
    value.FromDatetime(time)
    return value
