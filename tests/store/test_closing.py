"""A connection to the store that is closed at any moment."""

import asyncio
import gc

import pytest

from taskline_service.store import Redis, parse_redis_url


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("turns", range(12))
def test_a_store_that_is_closed_while_it_connects_leaves_nothing_behind(
    redis_url: str, turns: int
) -> None:
    async def connect_and_close() -> None:
        redis = Redis(parse_redis_url(redis_url), home=b"key")
        connecting = redis.connect_soon()
        for _ in range(turns):
            await asyncio.sleep(0)
        await redis.close()
        assert connecting.done()

    asyncio.run(connect_and_close())

    gc.collect()  # an unclosed socket would be told here, and fail the test
