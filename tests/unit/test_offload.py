"""Long computations beside the event loop."""

import asyncio
import multiprocessing
import threading

from taskline_service.offload import LARGE_BYTES, off_loop


def _compute() -> int:
    sum(range(1_000_000))
    return threading.get_ident()


async def test_what_is_small_is_computed_at_once() -> None:
    assert await off_loop(LARGE_BYTES, _compute) == threading.get_ident()


async def test_large_things_are_computed_one_after_the_other_beside_the_event_loop() -> None:
    computed = [off_loop(LARGE_BYTES + 1, _compute) for _ in range(6)]

    threads = set(await asyncio.gather(*computed))

    assert len(threads) == 1
    assert threading.get_ident() not in threads


def _compute_in_a_copy() -> None:
    asyncio.run(off_loop(LARGE_BYTES + 1, _compute))


async def test_a_copy_of_the_process_computes_too() -> None:
    await off_loop(LARGE_BYTES + 1, _compute)
    copy = multiprocessing.get_context("fork").Process(target=_compute_in_a_copy)
    copy.start()

    try:
        await asyncio.to_thread(copy.join, 20)
        assert copy.exitcode == 0
    finally:
        copy.kill()
