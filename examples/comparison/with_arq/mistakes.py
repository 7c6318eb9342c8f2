from arq.connections import ArqRedis


async def mistakes(redis: ArqRedis) -> None:
    await redis.enqueue_job("invert", number="three")  # another type of argument
    await redis.enqueue_job("invert", numbr=3)  # an argument that there is not
    job = await redis.enqueue_job("invert", number=3)
    assert job
    print((await job.result()).upper())  # another type of result
