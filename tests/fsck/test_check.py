"""A store that is in order is found clean, also while it is in use."""

import asyncio

from taskline_service.fsck import check_store
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url
from tests.fsck.populated import populate
from tests.fsck.traffic import Traffic

CHECKS, TASKS = 10, 1000


async def test_an_empty_store_is_clean(store: TaskStore) -> None:
    report = await check_store(store.redis, store.keys)

    assert (report.clean, report.tasks, report.keys, report.offences) == (True, 0, 0, ())


async def test_a_store_with_tasks_in_every_state_is_clean(store: TaskStore) -> None:
    await populate(store)

    report = await check_store(store.redis, store.keys)

    assert report.offences == ()
    assert (report.clean, report.tasks, report.undecided) == (True, 9, ())


async def test_other_namespaces_are_left_out(store: TaskStore) -> None:
    await populate(store)

    report = await check_store(store.redis, Keys(f"{store.keys.namespace}-2"))

    assert (report.clean, report.keys) == (True, 0)


async def test_a_report_counts_more_offences_than_it_tells(
    store: TaskStore,
) -> None:
    ghosts = [part for number in range(30) for part in ("1", f"ghost-{number}")]
    leases = store.keys.prefix + b"leases"
    await store.redis.call(b"ZADD", leases, *ghosts)

    report = await check_store(store.redis, store.keys, told=10)

    assert (report.total, len(report.offences), report.clean) == (30, 10, False)
    await store.redis.call(b"DEL", leases)


async def test_tasks_that_flow_raise_no_false_alarm(store: TaskStore, redis_url: str) -> None:
    traffic, checks = Traffic(store), 0
    async with Redis(parse_redis_url(redis_url)) as redis, asyncio.TaskGroup() as group:
        flowing = group.create_task(traffic.run())
        while checks < CHECKS or traffic.last < TASKS:
            report = await check_store(redis, store.keys)
            assert report.offences == ()
            checks += 1
        flowing.cancel()

    assert report.tasks
