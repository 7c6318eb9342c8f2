import asyncio
import os
from typing import Any

from arq.connections import RedisSettings


async def invert(ctx: dict[str, Any], number: int) -> float:
    await asyncio.sleep(0.2)
    return 1 / number


class WorkerSettings:
    functions = [invert]
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])
