"""Calls made as callers make them: one after the other, or many at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Call = Callable[[int], Awaitable[object]]


async def rate(count: int, call: Call, *, in_flight: int) -> float:
    """How many a second: `count` calls by that many callers, each one after the other."""
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(in_flight):
            callers.create_task(caller())
    return count / (time.perf_counter() - began)


async def times_ms(count: int, call: Call, *, pause: float = 0) -> list[float]:
    """How long each of them takes to one caller who makes them one after the other.

    With a `pause` in seconds before each, everything on its way has to wake up first.
    """
    times = list[float]()
    for number in range(count):
        if pause:
            await asyncio.sleep(pause)
        began = time.perf_counter()
        await call(number)
        times.append((time.perf_counter() - began) * 1000)
    return times
