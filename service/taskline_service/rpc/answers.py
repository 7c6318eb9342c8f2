"""What Enqueue and BatchEnqueue answer for each task."""

from taskline.v1 import task_service_pb2 as pb
from taskline_service.errors import (
    QueueFull,
    RequestIdReused,
    TaskAlreadyExists,
    TaskDamaged,
    TasklineError,
    TooManyQueues,
)
from taskline_service.rpc.convert import task_to_pb
from taskline_service.store import TaskStore
from taskline_service.store.values import Enqueued, EnqueueStatus, NewTask
from taskline_service.task import Task, TaskState


def refusal(new: NewTask, outcome: Enqueued) -> TasklineError | None:
    """Why a new task was not accepted; None if it was."""
    spec = new.spec
    if outcome.status is EnqueueStatus.TAKEN:
        return TaskAlreadyExists(
            f"task {spec.id!r} already exists",
            task_id=spec.id,
            task_uid=outcome.uid,
            state=outcome.state or "",
        )
    if outcome.status is EnqueueStatus.DAMAGED:
        return TaskDamaged(spec.id, key=outcome.key)
    if outcome.status is EnqueueStatus.REUSED:
        return RequestIdReused(
            f"request_id {spec.request_id!r} was used before, for a request with another content",
            task_id=spec.id,
            request_id=spec.request_id,
        )
    if outcome.status is EnqueueStatus.CROWDED:
        return TooManyQueues(
            f"{outcome.limit} pairs of a task type and a queue have tasks, as many as may be:"
            f" {spec.task_type!r} on {spec.queue!r} would be one more",
            queue=spec.queue,
            limit=str(outcome.limit),
        )
    if outcome.status is EnqueueStatus.FULL:
        return QueueFull(
            f"queue {spec.queue!r} may have {outcome.limit} waiting tasks, and no more",
            queue=spec.queue,
            limit=str(outcome.limit),
        )
    return None


async def task_of(store: TaskStore, new: NewTask, outcome: Enqueued) -> Task:
    """The task that answers an accepted request, as it is now.

    Raises:
        TasklineError: It was not accepted.
    """
    error = refusal(new, outcome)
    if error is not None:
        raise error
    return outcome.task or await store.get(new.spec.id)


async def answer(store: TaskStore, new: NewTask, outcome: Enqueued) -> pb.EnqueueResponse:
    """The answer to one accepted request.

    Raises:
        TasklineError: It was not accepted.
    """
    task = await task_of(store, new, outcome)
    return pb.EnqueueResponse(
        task=task_to_pb(task), created=outcome.status is not EnqueueStatus.EXISTING
    )


async def checked_answer(store: TaskStore, new: NewTask, outcome: Enqueued) -> pb.EnqueueResponse:
    """The answer to one request that was to be checked only: its task has no id.

    Raises:
        TasklineError: It would not be accepted.
    """
    if outcome.status in (EnqueueStatus.CREATED, EnqueueStatus.REPLACED):
        response = pb.EnqueueResponse(task=task_to_pb(_would_be(new)))
    else:
        response = await answer(store, new, outcome)
    for name in ("id", "uid", "resume_token"):
        response.task.ClearField(name)
    return response


def _would_be(new: NewTask) -> Task:
    waits = bool(new.delay or new.spec.scheduled_ahead)
    state = TaskState.SCHEDULED if waits else TaskState.QUEUED
    return Task(spec=new.spec, state=state, sequence=0, revision=0, input_size=len(new.spec.input))
