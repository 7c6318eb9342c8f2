import asyncio

from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()


@tasks.task("numbers.invert", max_attempts=1)
async def invert(ctx: TaskContext, number: int) -> float:
    for percentage in (50, 100):
        await asyncio.sleep(0.1)
        await ctx.progress.set_percentage(percentage)
    return 1 / number
