"""After an outage nobody is taken for lost before all have had the time to come back."""

import asyncio
from datetime import timedelta

import pytest

from taskline_service.store import TaskStore
from taskline_service.store.values import Verdict
from tests.census import all_keys
from tests.store.making import AN_HOUR, LEASE, NO_TIME, claimed

HOLD = timedelta(seconds=10)
_SECOND = 1_000_000


async def reclaimed(store: TaskStore) -> int:
    """How many tasks are taken back now."""
    return len(await store.reclaim(retry_delay=AN_HOUR, hold=HOLD))


async def looked_at(store: TaskStore, *, ago: float) -> None:
    """As if leases had been looked at so many seconds ago, and the store been away since."""
    key = store.keys.prefix + b"reclaiming"
    for field in (b"at", b"until", b"since"):
        before = float(await store.redis.call(b"HGET", key, field) or 0)
        await store.redis.call(b"HSET", key, field, f"{before - ago * _SECOND:.0f}")


async def pass_time(store: TaskStore, seconds: float) -> None:
    """As if leases had been looked at all the time."""
    key = store.keys.prefix + b"reclaiming"
    for field in (b"until", b"since"):
        before = float(await store.redis.call(b"HGET", key, field))
        await store.redis.call(b"HSET", key, field, f"{before - seconds * _SECOND:.0f}")


async def test_in_quiet_times_a_lease_that_ran_out_is_reclaimed_at_once(store: TaskStore) -> None:
    await claimed(store, "a", lease=NO_TIME)

    assert await reclaimed(store) == 1


@pytest.mark.parametrize(
    "ago",
    [
        pytest.param(1.5, id="a break"),
        pytest.param(3600, id="a long break, or a clock set forward"),
        pytest.param(-3600, id="a clock set back"),
    ],
)
async def test_after_an_outage_nothing_is_reclaimed_for_a_while(
    store: TaskStore, ago: float
) -> None:
    await claimed(store, "kept")
    await reclaimed(store)
    claim = await claimed(store, "a", lease=NO_TIME)

    await looked_at(store, ago=ago)

    assert await reclaimed(store) == 0
    await pass_time(store, 9)
    assert await reclaimed(store) == 0
    assert await store.renew([claim], lease=NO_TIME) == [Verdict.HELD]
    await pass_time(store, 2)
    assert await reclaimed(store) == 1


async def test_another_outage_meanwhile_prolongs_that(store: TaskStore) -> None:
    await claimed(store, "a", lease=NO_TIME)
    await reclaim_with_break(store)
    await pass_time(store, 8)
    await reclaim_with_break(store)

    await pass_time(store, 8)

    assert await reclaimed(store) == 0
    await looked_at(store, ago=100)
    assert await reclaimed(store) == 0


async def reclaim_with_break(store: TaskStore) -> None:
    await looked_at(store, ago=1.5)
    assert await reclaimed(store) == 0


async def test_where_leases_are_always_looked_at_late_lost_tasks_come_back_all_the_same(
    store: TaskStore,
) -> None:
    await claimed(store, "a", lease=NO_TIME)
    await reclaim_with_break(store)

    passes = 0
    while await reclaimed(store) == 0:
        await looked_at(store, ago=1.5)
        passes += 1
        assert passes < 100

    assert passes * 1.5 < 7 * HOLD.total_seconds()


async def test_an_outage_right_after_the_first_claim_counts(store: TaskStore) -> None:
    await claimed(store, "a", lease=NO_TIME)

    await looked_at(store, ago=1.5)

    assert await reclaimed(store) == 0


async def test_an_outage_before_the_first_lease_does_not_count(store: TaskStore) -> None:
    await claimed(store, "before", lease=NO_TIME)
    await reclaimed(store)
    assert "reclaiming" not in await store.redis.call(b"KEYS", store.keys.prefix + b"reclaiming")
    await asyncio.sleep(1.1)  # in which nobody looks

    await claimed(store, "a", lease=NO_TIME)

    assert await reclaimed(store) == 1


async def test_while_memory_is_full_time_goes_on(store: TaskStore) -> None:
    claim = await claimed(store, "a", lease=LEASE)
    await store.redis.call(b"CONFIG", b"SET", b"maxmemory", b"1")
    try:
        assert await reclaimed(store) == 0
        await store.renew([claim], lease=NO_TIME)
        assert await reclaimed(store) == 1
    finally:
        await store.redis.call(b"CONFIG", b"SET", b"maxmemory", b"0")
    assert "t:a" in await all_keys(store.redis, store.keys)
