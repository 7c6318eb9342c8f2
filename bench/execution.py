"""How fast one worker process executes what is queued already: `python -m bench.execution`.

From the start of the first task to the end of the last, as the store has them. With 100 tasks at
once, as the peers are given, and with the default of 10.
"""

from bench.figures import Figures, Size, alone
from bench.serving import CONCURRENCY, Serving
from taskline.v1 import task_service_pb2 as pb

_PAGE = 1_000


async def measure(size: Size) -> Figures:
    """Tasks a second."""
    count = 5_000 if size.quick else 20_000
    return {
        "execution: 1 worker process, /s": await executed(count, *CONCURRENCY),
        "execution: 1 worker process, default concurrency, /s": await executed(count // 2),
    }


async def executed(count: int, *options: str) -> float:
    """Tasks a second, by a worker with these options."""
    async with Serving.start("--workers", "0") as serving:
        ids = await serving.enqueue(count)
        async with serving.worker(*options):
            await serving.ended(ids[-1])
            await serving.all_completed(count)
        return count / await lasted(serving)


async def lasted(serving: Serving) -> float:
    """Seconds from the first start of a task to the last end."""
    first, last = [
        (await serving.stub.ListTasks(pb.ListTasksRequest(page_size=_PAGE, order_by=order))).tasks
        for order in ("create_time", "create_time desc")
    ]
    begin = min(task.start_time.ToMicroseconds() for task in first)
    end = max(task.end_time.ToMicroseconds() for task in last)
    return (end - begin) / 1e6


if __name__ == "__main__":
    alone(measure)
