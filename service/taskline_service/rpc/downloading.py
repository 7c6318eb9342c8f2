"""DownloadResult: a result in chunks, each read when the one before has gone."""

from collections.abc import AsyncGenerator

from taskline.v1 import task_service_pb2 as pb
from taskline_service.errors import InvalidInput, ResultExpired, TaskNotCompleted
from taskline_service.limits import MAX_CHUNK_BYTES
from taskline_service.rpc import fields
from taskline_service.rpc.lifetime import Lifetime
from taskline_service.store import TaskStore
from taskline_service.task import Task, TaskState


async def chunks(
    request: pb.DownloadResultRequest, store: TaskStore, lifetime: Lifetime
) -> AsyncGenerator[pb.DownloadResultResponse, None]:
    """The result from `offset` on; at its very end, one answer that only tells its size.

    Raises:
        InvalidInput: The offset is negative, or past the end.
        TaskNotFound, TaskNotCompleted, ResultExpired: There is no result, or no longer.
        ServerDraining: The server shuts down; another one can go on.
    """
    task_id, offset = fields.task_id(request.task_id), request.offset
    if offset < 0:
        raise InvalidInput.of("offset", "must not be negative")
    first: Task | None = None
    while first is None or offset < first.result_size:
        lifetime.check()
        task, chunk = await store.get_result_chunk(task_id, offset=offset, count=MAX_CHUNK_BYTES)
        first = first or task
        if (task.spec.uid, task.end_us) != (first.spec.uid, first.end_us):
            raise not_completed(task, "was executed anew during the download: start over")
        if task.state is not TaskState.COMPLETED:
            raise not_completed(task, f"has no result: it is {task.state}")
        if chunk is None:
            raise expired(task)
        if offset > task.result_size:
            raise InvalidInput.of("offset", f"is past the end, the result has {task.result_size}")
        yield pb.DownloadResultResponse(chunk=chunk, total_size=task.result_size)
        offset += len(chunk)


def not_completed(task: Task, why: str) -> TaskNotCompleted:
    """What is told of a task that has no result."""
    return TaskNotCompleted(f"task {task.id!r} {why}", task_id=task.id, state=task.state.value)


def expired(task: Task) -> ResultExpired:
    """What is told of a result that is no longer kept: when it ended, how, and for how long."""
    kept = (task.result_expire_us - task.end_us) / 1_000_000
    end, expire = fields.rfc3339(task.end_us), fields.rfc3339(task.result_expire_us)
    return ResultExpired(
        f"task {task.id!r} completed at {end}; its result was kept for {kept:g} s, until {expire}",
        task_id=task.id,
        state=task.state.value,
        end_time=end,
        result_expire_time=expire,
    )
