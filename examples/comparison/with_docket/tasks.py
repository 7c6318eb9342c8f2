import asyncio

from docket import Progress
from docket.execution import ExecutionProgress


async def invert(number: int, progress: ExecutionProgress = Progress()) -> float:
    await progress.set_total(2)
    for _ in range(2):
        await asyncio.sleep(0.1)
        await progress.increment()
    return 1 / number


tasks = [invert]
