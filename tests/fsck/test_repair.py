"""Repairs are made only where their reason still holds, and nothing stops the others."""

import asyncio

import pytest

from taskline_service.fsck import Invariant, check_store, repair_store
from taskline_service.fsck.facts import Inspector
from taskline_service.store import Redis, TaskStore, parse_redis_url
from tests.fsck.populated import damage, populate
from tests.fsck.traffic import Traffic
from tests.store.making import claim_all

pytestmark = pytest.mark.damages_store


async def test_a_repair_whose_reason_is_gone_is_not_made(store: TaskStore) -> None:
    await populate(store)
    await damage(store, "ZREM leases running")
    (offence,) = (await check_store(store.redis, store.keys)).offences
    await damage(store, "ZADD leases 9e15 running")

    assert offence.repair is not None
    assert not await Inspector(store.redis, store.keys).mend(offence.repair)

    lease = await store.redis.call(b"ZSCORE", store.keys.prefix + b"leases", b"running")
    assert float(lease) == 9e15


async def test_a_key_of_the_wrong_type_is_dropped_and_rebuilt(store: TaskStore) -> None:
    await populate(store)
    await damage(store, "SET i:FAILED:work:default x; ZREM leases running; DEL retention")

    repaired = await repair_store(store.redis, store.keys)

    assert {offence.invariant for offence in repaired.mended} == {
        Invariant.KEY_TYPE,
        Invariant.STATE_INDEX,
        Invariant.PLACE,
    }
    assert repaired.report.clean


async def test_what_stands_where_an_input_should_be_is_left_to_people(store: TaskStore) -> None:
    await populate(store)
    await damage(store, "DEL s:queued; RPUSH s:queued x")

    repaired = await repair_store(store.redis, store.keys)

    assert repaired.mended == ()
    assert Invariant.KEY_TYPE in {offence.invariant for offence in repaired.report.offences}


async def test_all_lines_are_rebuilt_from_the_records(store: TaskStore) -> None:
    await populate(store)
    waiting = await store.redis.call(b"ZRANGE", store.keys.prefix + b"q:work:default", b"0", b"-1")
    await damage(store, "DEL q:work:default; DEL ready; DEL lines; DEL due; DEL leases")
    await damage(store, "DEL retention; DEL queue_timeouts; DEL failed_by")
    await damage(store, "DEL i:QUEUED:work:default; DEL i:FAILED:work:default; DEL label:team=a")

    repaired = await repair_store(store.redis, store.keys)

    assert repaired.report.clean
    assert [claim.task_id.encode() for claim in await claim_all(store)] == waiting


async def test_tasks_that_flow_are_left_alone_while_others_are_mended(
    store: TaskStore, redis_url: str
) -> None:
    async with Redis(parse_redis_url(redis_url)) as redis, asyncio.TaskGroup() as group:
        traffic = Traffic(store)
        flowing = group.create_task(traffic.run())
        for number in range(5):
            ghost = f"ghost-{number}"
            await damage(
                store, f"SET r:{ghost} 1; ZADD i:RUNNING:x:a 1 {ghost}; ZADD due 9e15 {ghost}"
            )

            repaired = await repair_store(redis, store.keys)

            assert repaired.report.offences == ()
            assert {offence.subject for offence in repaired.mended} == {
                f"key r:{ghost}",
                f"task {ghost}",
            }
        flowing.cancel()
    assert (await check_store(store.redis, store.keys)).clean
