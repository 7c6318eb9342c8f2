"""A store in use: everything that can happen to tasks, at random."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from taskline_service.store import TaskStore
from taskline_service.store.values import Completion, Failure, LogLine, NewTask
from taskline_service.task import TERMINAL_STATES, Claim, TaskState
from tests.store.making import BROKEN, NO_TIME, new_task

A_MOMENT = timedelta(milliseconds=2)


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
        claims, dangling, _ = await self.brief.claim(["x", "y"], count=5, worker="w", lease=lease)
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
