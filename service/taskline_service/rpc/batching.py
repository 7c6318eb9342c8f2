"""BatchEnqueue: many tasks in one call, checked as a whole."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_service import telemetry
from taskline_service.errors import FieldViolation, InvalidInput, TasklineError
from taskline_service.limits import MAX_BATCH, MAX_PAGE_BYTES
from taskline_service.rpc.answers import answer, checked_answer, refusal
from taskline_service.rpc.catalog import TaskCatalog
from taskline_service.rpc.convert import duration
from taskline_service.rpc.enqueueing import in_trace, new_task
from taskline_service.rpc.status import code_of, retry_after
from taskline_service.store import TaskStore
from taskline_service.store.values import Enqueued, NewTask

_SHORT_MESSAGE = 100
# Entries; then others get their turn.
_READ_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Refused:
    index: int
    error: TasklineError


async def batch_enqueue(
    request: pb.BatchEnqueueRequest, store: TaskStore, catalog: TaskCatalog, max_input_size: int
) -> pb.BatchEnqueueResponse:
    """Accept the tasks of a batch.

    Raises:
        TasklineError: What is wrong with the first entry that cannot be accepted, with its
            `index` in the metadata; nothing was written. Not with `allow_partial`.
    """
    _check_whole(request.requests)
    repeats = _repeats(request.requests)
    if repeats and not request.allow_partial:
        raise _at(repeats[0])
    good, refused = await _read(
        request.requests, {entry.index for entry in repeats}, catalog, max_input_size
    )
    if refused and not request.allow_partial:
        raise _at(await _first_refused(good, refused[0], store))
    outcomes = await _write(
        [new for _, new in good],
        store,
        partial=request.allow_partial,
        validate_only=request.requests[0].validate_only,
    )
    late = [
        _Refused(index, error)
        for (index, new), outcome in zip(good, outcomes, strict=True)
        if (error := refusal(new, outcome)) is not None
    ]
    if late and not request.allow_partial:
        raise _at(late[0])
    refused = sorted([*repeats, *refused, *late], key=lambda entry: entry.index)
    return await _response(request, store, good, outcomes, refused)


def _check_whole(requests: Sequence[pb.EnqueueRequest]) -> None:
    if not 1 <= len(requests) <= MAX_BATCH:
        raise InvalidInput.of("requests", f"must be 1 to {MAX_BATCH}")
    if len({request.validate_only for request in requests}) > 1:
        raise InvalidInput.of("requests", "validate_only must be the same in all")


def _repeats(requests: Sequence[pb.EnqueueRequest]) -> list[_Refused]:
    """The entries that name what an earlier one names."""
    task_ids, request_ids, ids = set[str](), set[str](), set[str]()
    repeats = list[_Refused]()
    for index, request in enumerate(requests):
        id = request.task_id or request.request_id
        own = "task_id" if request.task_id else "request_id"
        named = [("task_id", request.task_id, task_ids, "occurs twice")]
        named += [("request_id", request.request_id, request_ids, "occurs twice")]
        named += [(own, id, ids, "names the same task as an earlier entry")]
        wrong = [(field, text) for field, name, seen, text in named if name and name in seen]
        if wrong:
            repeats.append(_Refused(index, InvalidInput.of(*wrong[0])))
        for _, name, seen, _ in named:
            seen.add(name)
    return repeats


async def _read(
    requests: Sequence[pb.EnqueueRequest],
    passed_over: set[int],
    catalog: TaskCatalog,
    max_input_size: int,
) -> tuple[list[tuple[int, NewTask]], list[_Refused]]:
    good, refused = list[tuple[int, NewTask]](), list[_Refused]()
    for index, request in enumerate(requests):
        if index % _READ_AT_ONCE == 0:
            await asyncio.sleep(0)
        if index in passed_over:
            continue
        try:
            good.append((index, await new_task(request, catalog, max_input_size)))
        except TasklineError as error:
            refused.append(_Refused(index, error))
    return good, refused


async def _first_refused(
    good: Sequence[tuple[int, NewTask]], invalid: _Refused, store: TaskStore
) -> _Refused:
    """The first entry that cannot be accepted: before an invalid one, an id may be taken."""
    before = [(index, new) for index, new in good if index < invalid.index]
    outcomes = await store.check([new for _, new in before])
    for (index, new), outcome in zip(before, outcomes, strict=True):
        if (error := refusal(new, outcome)) is not None:
            return _Refused(index, error)
    return invalid


async def _write(
    news: list[NewTask], store: TaskStore, *, partial: bool, validate_only: bool
) -> list[Enqueued]:
    if validate_only:
        return await store.check(news)
    with ExitStack() as spans:
        traced = [in_trace(new, spans.enter_context(_span(new))) for new in news]
        with telemetry.send_operation([new.spec.queue for new in news]):
            return await store.enqueue(traced, partial=partial)


def _span(new: NewTask) -> AbstractContextManager[dict[str, str]]:
    spec = new.spec
    return telemetry.enqueue_span(
        spec.queue, spec.id, spec.task_type, trace_context=spec.trace, batched=True
    )


async def _response(
    request: pb.BatchEnqueueRequest,
    store: TaskStore,
    good: list[tuple[int, NewTask]],
    outcomes: list[Enqueued],
    refused: list[_Refused],
) -> pb.BatchEnqueueResponse:
    responses = [pb.EnqueueResponse() for _ in request.requests]
    failed, failures = {entry.index for entry in refused}, list(map(_failure, refused))
    write = checked_answer if request.requests[0].validate_only else answer
    size = 0
    for failure in failures:
        size += failure.ByteSize()
        if size > MAX_PAGE_BYTES:
            _shorten_failure(failure)
    for (index, new), outcome in zip(good, outcomes, strict=True):
        if index not in failed:
            response = await write(store, new, outcome)
            size += response.ByteSize()
            if size > MAX_PAGE_BYTES:
                _shorten(response.task)
            responses[index] = response
    return pb.BatchEnqueueResponse(responses=responses, failures=failures)


def _shorten(task: task_pb2.Task) -> None:
    """Leave out what can be long, so that the answer does not become too large."""
    for name in ("labels", "error", "progress"):
        task.ClearField(name)


def _shorten_failure(failure: pb.BatchEnqueueResponse.Failure) -> None:
    """The same, and tell what is left out: else a caller would think that nothing is."""
    if failure.field_violations:
        failure.metadata["violation_count"] = str(len(failure.field_violations))
        failure.ClearField("field_violations")
    failure.message = failure.message[:_SHORT_MESSAGE]


def _failure(entry: _Refused) -> pb.BatchEnqueueResponse.Failure:
    error = entry.error
    violations = error.violations if isinstance(error, InvalidInput) else ()
    return pb.BatchEnqueueResponse.Failure(
        index=entry.index,
        code=code_of(error).value[0],
        reason=error.reason,
        message=error.message,
        metadata=error.metadata,
        field_violations=[
            pb.BatchEnqueueResponse.FieldViolation(
                field=violation.field, description=violation.description
            )
            for violation in violations
        ],
        retry_delay=duration(retry_after(error)),
    )


def _in_entry(error: InvalidInput, index: int) -> InvalidInput:
    """The same error, with the fields named as those of this entry."""
    violations = [
        FieldViolation(f"requests[{index}].{v.field}", v.description) for v in error.violations
    ]
    return type(error)(violations, **error.metadata)


def _at(entry: _Refused) -> TasklineError:
    """What is told of the whole call for this entry."""
    error = entry.error
    if isinstance(error, InvalidInput):
        error = _in_entry(error, entry.index)
    error.metadata["index"] = str(entry.index)
    return error
