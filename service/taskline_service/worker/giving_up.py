"""The end of a process whose event loop a task holds up for good."""

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import NoReturn

from taskline_service.errors import TasklineError
from taskline_service.store import Redis, RedisAddress, TaskStore, at_once
from taskline_service.store.values import Failure
from taskline_service.task import Claim
from taskline_service.worker.outcomes import Outcome

log = logging.getLogger(__name__)

EXIT_CODE = 3
_STORE_LIMIT_S = 5.0


def end_process(
    outcome: Outcome | None,
    others: Sequence[Claim],
    *,
    address: RedisAddress,
    store: TaskStore,
    exit_code: int = EXIT_CODE,
) -> NoReturn:
    """Record how the culprit ended, give the other tasks back, and end: somebody has to start anew.

    Called in a thread, with a connection of its own: nothing on the event loop will run again.
    """
    log.error("this process ends, and gives %d other tasks back", len(others))
    try:
        asyncio.run(_record(outcome, others, address, store))
    except (TasklineError, TimeoutError) as error:
        log.error("its tasks are left to their leases: %s", error)
        exit_code = exit_code or 1
    finally:
        logging.shutdown()
        os._exit(exit_code)


async def _record(
    outcome: Outcome | None, others: Sequence[Claim], address: RedisAddress, store: TaskStore
) -> None:
    async with asyncio.timeout(_STORE_LIMIT_S):
        await at_once(
            _record_in(partition, outcome, others, address) for partition in store.partitions
        )


async def _record_in(
    partition: TaskStore, outcome: Outcome | None, others: Sequence[Claim], address: RedisAddress
) -> None:
    keys = partition.keys
    async with Redis(address, home=keys.prefix) as redis:
        own = TaskStore(redis, keys, record_ttl=partition.record_ttl)
        if isinstance(outcome, Failure) and keys.hold(outcome.claim.task_id):
            await own.fail([outcome])
        await own.release([claim for claim in others if keys.hold(claim.task_id)])
