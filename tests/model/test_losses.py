"""Attempts of one task that follow each other, each beside others or alone, whatever becomes of
each: losses, failures and attempts are counted apart, as the reference says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import product

import pytest

from taskline_service.store import parse_redis_url
from taskline_service.store.values import Failure
from taskline_service.task import Claim, RetryPolicy, TaskState
from tests.census import remove_keys
from tests.model.world import ComparedRedis, World, scripts_get_the_time
from tests.store.making import BROKEN, LEASE, LOST, NO_TIME, enqueue, new_task

# An attempt: whether its worker gives what is to run alone a process of its own, and its end.
Attempt = tuple[bool, str]


async def _vanish(world: World, _claim: Claim) -> None:
    world.pass_time(2 * LEASE)
    await world.store.reclaim(retry_delay=NO_TIME)


ENDS: dict[str, Callable[[World, Claim], Awaitable[object]]] = {
    "its worker vanishes": _vanish,
    "its process dies": lambda w, c: w.store.fail([Failure(c, LOST, NO_TIME)]),
    "it fails": lambda w, c: w.store.fail([Failure(c, BROKEN, NO_TIME)]),
    "it cannot be stopped": lambda w, c: w.store.fail([Failure(c, BROKEN, NO_TIME, True)]),
    "it is given back": lambda w, c: w.store.release([c]),
}
ATTEMPTS: list[Attempt] = list(product([True, False], ENDS))


@pytest.fixture
async def redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ComparedRedis]:
    scripts_get_the_time(monkeypatch)
    async with ComparedRedis(parse_redis_url(redis_url)) as redis:
        yield redis


async def _attempt(world: World, attempt: Attempt) -> None:
    isolates, end = attempt
    await world.store.promote()
    claims, *_ = await world.store.claim(
        ["work"], count=1, worker="w", lease=LEASE, isolates=isolates
    )
    for claim in claims:  # none once it has ended
        await world.check()
        await ENDS[end](world, claim)
        await world.check()


@pytest.mark.parametrize("first", ATTEMPTS, ids=lambda a: f"{a[1]}, {'alone' if a[0] else ''}")
async def test_each_attempt_counts_as_what_it_was(redis: ComparedRedis, first: Attempt) -> None:
    for attempts in product([first], ATTEMPTS, ATTEMPTS):
        world = World.fresh(redis)
        await enqueue(world.store, new_task("t", retry_policy=RetryPolicy(max_attempts=9)))
        try:
            for attempt in attempts:
                await _attempt(world, attempt)
        except AssertionError as error:
            error.add_note(" → ".join(map(str, attempts)))
            raise
        await world.check_with_fsck()
        await remove_keys(redis, world.keys)


async def test_what_is_put_back_begins_anew(redis: ComparedRedis) -> None:
    world = World.fresh(redis)
    await enqueue(world.store, new_task("t", retry_policy=RetryPolicy(max_attempts=9)))
    for attempt in ((True, "its process dies"), (True, "its process dies")):
        await _attempt(world, attempt)
    assert world.reference.tasks["t"].state == TaskState.FAILED

    await world.store.retry("t")
    await world.check()
    await _attempt(world, (True, "its worker vanishes"))

    assert world.reference.tasks["t"].lost == 1
    await remove_keys(redis, world.keys)
