"""A store that is in order is found clean, also while it is in use."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from taskline_service.fsck import check_store
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url
from taskline_service.store.values import Completion, Failure, LogLine, NewTask
from taskline_service.task import TERMINAL_STATES, Claim, TaskState
from tests.fsck.populated import populate
from tests.store.making import BROKEN, NO_TIME, new_task

CHECKS, TASKS = 10, 1000
A_MOMENT = timedelta(milliseconds=2)


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


class Traffic:
    """Everything that can happen to tasks, at random."""

    def __init__(self, store: TaskStore) -> None:
        self.brief = TaskStore(
            store.redis,
            store.keys,
            result_ttl=A_MOMENT,
            record_ttl=20 * A_MOMENT,
            max_queued=30,
        )
        self.random = random.Random(7)
        self.numbers = itertools.count()
        self.last = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for step in (self.enqueue, self.work, self.work, self.operate, self.keep_up):
                group.create_task(self.repeat(step))

    async def repeat(self, step: Callable[[], Awaitable[object]]) -> None:
        while True:
            await step()

    async def enqueue(self) -> None:
        new = [self.new() for _ in range(self.random.randint(1, 8))]
        await self.brief.enqueue(new, partial=True)

    def new(self) -> NewTask:
        self.last = next(self.numbers)
        pick = self.random.random
        return new_task(
            f"t-{self.last}",
            task_type=self.random.choice("xy"),
            queue=self.random.choice("ab"),
            delay=A_MOMENT if pick() < 0.3 else None,
            labels={"k": self.random.choice("12")} if pick() < 0.3 else {},
            queue_timeout=self.random.choice([None, 3 * A_MOMENT, timedelta(hours=1)]),
        )

    async def work(self) -> None:
        lease = self.random.choice([NO_TIME, timedelta(minutes=1)])
        claims, dangling = await self.brief.claim(["x", "y"], count=5, worker="w", lease=lease)
        assert not dangling
        for claim in claims:
            await self.end(claim)

    async def end(self, claim: Claim) -> None:
        await self.brief.append([LogLine(claim, 1, "now", None)])
        retry = NO_TIME if claim.failures < 2 else None
        match self.random.randint(0, 5):
            case 0:
                await self.brief.release([claim])
            case 1:
                await self.brief.fail([Failure(claim, BROKEN, None)])
            case 2:
                await self.brief.fail([Failure(claim, BROKEN, retry)])
            case 3:
                await self.brief.cancel_many([claim.task_id], states=[TaskState.RUNNING])
                await self.brief.fail([Failure(claim, BROKEN, retry)])
            case 4:
                await self.brief.renew([claim], lease=NO_TIME)  # and is never heard of again
            case _:
                await self.brief.complete([Completion(claim, b"1")])

    async def operate(self) -> None:
        some = [f"t-{max(0, self.last - self.random.randint(0, 60))}" for _ in range(5)]
        await self.brief.cancel_many(some[:1], states=[TaskState.QUEUED, TaskState.SCHEDULED])
        await self.brief.retry_many(some[1:4], states=TERMINAL_STATES)
        await self.brief.delete_many(some[4:], states=TERMINAL_STATES)

    async def keep_up(self) -> None:
        await self.brief.promote()
        await self.brief.reclaim(retry_delay=A_MOMENT)
        await self.brief.queue_timeout()
        await self.brief.expire()


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
