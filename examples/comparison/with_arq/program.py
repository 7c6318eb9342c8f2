import asyncio
import os

from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job, JobStatus


async def show(job: Job) -> None:
    shown = None
    while shown is not JobStatus.complete:
        status = await job.status()
        if status is not shown:
            print(job.job_id, status)
            shown = status
        await asyncio.sleep(0.05)


async def main() -> None:
    redis = await create_pool(RedisSettings.from_dsn(os.environ["REDIS_URL"]))
    enqueued = [await redis.enqueue_job("invert", n) for n in range(10)]
    jobs = [job for job in enqueued if job is not None]
    await asyncio.gather(*(show(job) for job in jobs))
    print(await asyncio.gather(*(job.result() for job in jobs), return_exceptions=True))
    for result in await redis.all_job_results():
        if not result.success:
            print("failed:", result.job_id, result.result)
    await redis.aclose()


asyncio.run(main())
