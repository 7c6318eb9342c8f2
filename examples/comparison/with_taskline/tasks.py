import asyncio

from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()


@tasks.task("numbers.invert", max_attempts=1)
async def invert(ctx: TaskContext, number: int) -> float:
    await ctx.progress.set_total(2)
    for _ in range(2):
        await asyncio.sleep(0.1)
        await ctx.progress.increment()
    return 1 / number
