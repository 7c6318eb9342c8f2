"""From an EnqueueRequest to a task that the store can accept."""

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from taskline.v1 import task_pb2 as task_pb
from taskline.v1 import task_service_pb2 as pb
from taskline_service import names, telemetry
from taskline_service.errors import InvalidInput
from taskline_service.ids import new_id
from taskline_service.limits import LONGEST_SPAN, MOST_ATTEMPTS
from taskline_service.offload import off_loop
from taskline_service.rpc.catalog import TaskCatalog
from taskline_service.rpc.fields import Checker
from taskline_service.rpc.json_value import canonical
from taskline_service.rpc.payload import payload_to_json_bytes
from taskline_service.store.values import Conflict, NewTask
from taskline_service.task import UNLIMITED_ATTEMPTS, RetryPolicy, TaskSpec
from taskline_service.tasks import TaskTypeInfo

_SHORTEST_TIMEOUT = timedelta(milliseconds=1)
_TRACE_KEYS = re.compile(r"traceparent|tracestate")

_CONFLICTS = {
    pb.CONFLICT_POLICY_UNSPECIFIED: Conflict.REJECT,
    pb.CONFLICT_POLICY_REJECT: Conflict.REJECT,
    pb.CONFLICT_POLICY_USE_EXISTING: Conflict.USE_EXISTING,
    pb.CONFLICT_POLICY_REPLACE_TERMINAL: Conflict.REPLACE_TERMINAL,
}


async def new_task(
    request: pb.EnqueueRequest, catalog: TaskCatalog, max_input_size: int
) -> NewTask:
    """Check a request and fill in the defaults of its task type. Writes nothing.

    Raises:
        InvalidInput: Fields are wrong, the input among them; all are named.
        TaskTypeNotFound: Nobody can run such a task.
    """
    check = Checker()
    check.text("task_type", request.task_type, names.TASK_TYPE, names.TASK_TYPE_RULE)
    check.optional_text("task_id", request.task_id, names.TASK_ID, names.TASK_ID_RULE)
    check.optional_text("request_id", request.request_id, names.REQUEST_ID, names.REQUEST_ID_RULE)
    check.optional_text("queue", request.queue, names.QUEUE, names.QUEUE_RULE)
    check.number("priority", request.priority, 0, 9)
    if request.labels:
        check.labels("labels", request.labels)
    _check_trace_context(check, request.trace_context)
    if request.conflict_policy not in _CONFLICTS:
        check.wrong("conflict_policy", "is not one that this server knows")
    task_input = await _input(check, request, max_input_size)
    delay, due_us = _schedule(check, request)
    spans = _spans(check, request)
    retry_policy = _retry_policy(check, request)
    check.raise_if_wrong()

    info = await catalog.find(request.task_type)
    check.violations += await off_loop(
        len(task_input), catalog.violations, request.task_type, task_input
    )
    check.raise_if_wrong()

    task_id = request.task_id or request.request_id or new_id()
    named = bool(request.task_id or request.request_id)
    digest = b""
    if request.request_id:
        digest = await off_loop(len(task_input), _digest, request, task_input)
    spec = TaskSpec(
        id=task_id,
        uid=new_id() if named else task_id,
        task_type=request.task_type,
        queue=request.queue or info.queue,
        priority=request.priority,
        input=task_input,
        labels=dict(request.labels),
        retry_policy=_with_defaults(retry_policy, info),
        execution_timeout=spans["execution_timeout"] or info.execution_timeout,
        queue_timeout=spans["queue_timeout"],
        result_ttl=spans["result_ttl"],
        scheduled_ahead=_ahead(delay, due_us),
        # As asked for; whoever enqueues the task puts the trace of the span in its place.
        trace=dict(request.trace_context),
        request_id=request.request_id,
        digest=digest,
    )
    return NewTask(
        spec=spec, delay=delay, due_us=due_us, on_conflict=_CONFLICTS[request.conflict_policy]
    )


def in_trace(new: NewTask, trace: dict[str, str]) -> NewTask:
    """The same task, with the trace of the span in which it is enqueued."""
    if trace == new.spec.trace:  # most have none
        return new
    return replace(new, spec=replace(new.spec, trace=trace))


def _ahead(delay: timedelta | None, due_us: int | None) -> timedelta:
    if due_us is not None:
        delay = timedelta(microseconds=due_us - time.time_ns() // 1000)
    return max(delay or timedelta(0), timedelta(0))


async def _input(check: Checker, request: pb.EnqueueRequest, max_size: int) -> bytes:
    try:
        return await off_loop(
            request.input.ByteSize(),
            payload_to_json_bytes,
            request.input,
            "input",
            max_size=max_size,
        )
    except InvalidInput as error:
        if type(error) is not InvalidInput:  # too large: an error of its own
            raise
        check.violations += error.violations
        return b"{}"


def _check_trace_context(check: Checker, context: Mapping[str, str]) -> None:
    for key in context:
        if not _TRACE_KEYS.fullmatch(key):
            check.wrong("trace_context", "may only have the keys traceparent and tracestate")
    if context and not telemetry.trace_id_of(dict(context)):
        check.wrong("trace_context", "has no valid traceparent")


def _schedule(check: Checker, request: pb.EnqueueRequest) -> tuple[timedelta | None, int | None]:
    match request.WhichOneof("schedule"):
        case "delay":
            return check.span("delay", request.delay), None
        case "schedule_time":
            due_us = check.instant("schedule_time", request.schedule_time)
            if due_us > (time.time() + LONGEST_SPAN.total_seconds()) * 1e6:
                check.wrong("schedule_time", f"must be within {LONGEST_SPAN.days} days")
            return None, max(due_us, 0)
        case _:
            return None, None


def _spans(check: Checker, request: pb.EnqueueRequest) -> dict[str, timedelta | None]:
    least = {
        "queue_timeout": _SHORTEST_TIMEOUT,
        "execution_timeout": _SHORTEST_TIMEOUT,
        "result_ttl": timedelta(0),
    }
    return {
        name: check.span(name, getattr(request, name), least=shortest)
        if request.HasField(name)  # type: ignore[arg-type]  # the names are those above
        else None
        for name, shortest in least.items()
    }


def _retry_policy(check: Checker, request: pb.EnqueueRequest) -> task_pb.RetryPolicy:
    policy = request.retry_policy
    if not UNLIMITED_ATTEMPTS <= policy.max_attempts <= MOST_ATTEMPTS:
        check.wrong(
            "retry_policy.max_attempts",
            f"must be from 1 to {MOST_ATTEMPTS}, or {UNLIMITED_ATTEMPTS} for no limit",
        )
    if policy.HasField("initial_backoff"):
        check.span("retry_policy.initial_backoff", policy.initial_backoff)
    if policy.HasField("max_backoff"):
        check.span("retry_policy.max_backoff", policy.max_backoff)
    # Written so that NaN is refused too.
    if policy.backoff_multiplier and not 1 <= policy.backoff_multiplier <= MOST_ATTEMPTS:
        check.wrong("retry_policy.backoff_multiplier", f"must be from 1 to {MOST_ATTEMPTS}")
    return policy


def _with_defaults(policy: task_pb.RetryPolicy, info: TaskTypeInfo) -> RetryPolicy:
    default, check = info.retry_policy, Checker()
    initial = (
        check.span("", policy.initial_backoff)
        if policy.HasField("initial_backoff")
        else default.initial_backoff
    )
    longest = (
        check.span("", policy.max_backoff)
        if policy.HasField("max_backoff")
        else default.max_backoff
    )
    assert initial is not None and longest is not None
    return RetryPolicy(
        max_attempts=policy.max_attempts or default.max_attempts,
        initial_backoff=initial,
        max_backoff=longest,
        backoff_multiplier=policy.backoff_multiplier or default.backoff_multiplier,
    )


def _digest(request: pb.EnqueueRequest, task_input: bytes) -> bytes:
    """Of all that the request asks for, in a fixed order; never over serialized protobuf.

    Of the input the value counts: who makes a request anew may write it in another way.
    """
    retry = request.retry_policy
    parts = (
        request.task_type,
        request.task_id,
        request.queue,
        request.priority,
        request.WhichOneof("schedule"),
        (request.schedule_time.seconds, request.schedule_time.nanos),
        (request.delay.seconds, request.delay.nanos),
        *(
            (span.seconds, span.nanos)
            for span in (
                request.queue_timeout,
                request.execution_timeout,
                request.result_ttl,
                retry.initial_backoff,
                retry.max_backoff,
            )
        ),
        (retry.max_attempts, retry.backoff_multiplier),
        sorted(request.labels.items()),
    )
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=16)
    digest.update(b"\0" + canonical(task_input))
    return digest.digest()
