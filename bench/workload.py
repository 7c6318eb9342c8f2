"""What is executed in all measurements: a task that returns at once, and one that reports."""

import asyncio
import time

from taskline.v1 import task_service_pb2 as pb
from taskline_service import TaskContext, TaskRegistry

NOTHING, REPORTING = "bench.nothing", "bench.reporting"
TEXT = "x" * 80

tasks = TaskRegistry()


@tasks.task(NOTHING)
async def nothing(number: int, text: str) -> dict[str, int | bool]:
    """Takes about 100 bytes, and returns at once."""
    del text
    return {"ok": True, "n": number}


@tasks.task(REPORTING)
async def reporting(ctx: TaskContext, reports: int, pause: float) -> None:
    """Reports the time by the machine's clock, again and again."""
    for _ in range(reports):
        await asyncio.sleep(pause)
        await ctx.progress.set_current(time.time())


def request(number: int) -> pb.EnqueueRequest:
    """Asks for the task that returns at once."""
    message = pb.EnqueueRequest(task_type=NOTHING)
    message.input.json_bytes = b'{"number":%d,"text":"%s"}' % (number, TEXT.encode())
    return message


def batch(count: int) -> pb.BatchEnqueueRequest:
    """Asks for so many of it at once."""
    return pb.BatchEnqueueRequest(requests=map(request, range(count)))
