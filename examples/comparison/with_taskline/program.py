import asyncio
import os

from tasks import invert

from taskline_client import EnqueueRequest, TaskClient, TaskFilter, TaskState


async def main() -> None:
    async with TaskClient(os.environ["TASKLINE_ADDRESS"]) as client:
        handles = await client.enqueue_many(EnqueueRequest(invert, number=n) for n in range(10))
        async for event in client.watch(*(handle.id for handle in handles)):
            print(event)
        print(await client.gather(*handles, return_exceptions=True))
        async for task in client.list_tasks(TaskFilter(states=[TaskState.FAILED])):
            print("failed:", task.id, task.error and task.error.message)


asyncio.run(main())
