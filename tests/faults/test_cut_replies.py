"""F9: the connection is cut at any point of any move. The move is repeated, and counts once."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from taskline_service.store import Redis, TaskStore, new_call, parse_redis_url
from taskline_service.store.scripts import SCRIPTS
from taskline_service.store.values import Completion, Failure, LogLine, Verdict
from taskline_service.task import TERMINAL_STATES, Claim, Progress, TaskState
from tests.faults.proxy import Proxy
from tests.faults.site import rounds
from tests.store.making import (
    AN_HOUR,
    BROKEN,
    LEASE,
    NO_TIME,
    claimed,
    enqueue,
    new_task,
    reach,
    reclaim,
)

_MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Move:
    """A move of two tasks, "a" and "b", and what comes out if it is made once."""

    script: str
    # Brings the tasks to where they can be moved from, with the claims if that takes some.
    prepare: Callable[[TaskStore], Awaitable[list[Claim]]]
    make: Callable[[TaskStore, list[Claim]], Awaitable[Any]]
    state: TaskState | None


async def _claimed(store: TaskStore) -> list[Claim]:
    return [await claimed(store, "a"), await claimed(store, "b")]


async def _lost(store: TaskStore) -> list[Claim]:
    return [await claimed(store, task_id, lease=NO_TIME) for task_id in "ab"]


def _in_state(state: TaskState) -> Callable[[TaskStore], Awaitable[list[Claim]]]:
    async def prepare(store: TaskStore) -> list[Claim]:
        for task_id in "ab":
            await reach(store, state, task_id)
        return []

    return prepare


async def _nothing(store: TaskStore) -> list[Claim]:
    return []


async def _due(store: TaskStore) -> list[Claim]:
    await enqueue(store, *(new_task(task_id, delay=_MOMENT) for task_id in "ab"))
    await asyncio.sleep(2 * _MOMENT.total_seconds())
    return []


async def _waited(store: TaskStore) -> list[Claim]:
    await enqueue(store, *(new_task(task_id, queue_timeout=NO_TIME) for task_id in "ab"))
    return []


async def _expired(store: TaskStore) -> list[Claim]:
    brief = TaskStore(store.redis, store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME)
    for claim in await _claimed(brief):
        await brief.complete([Completion(claim, b"1")])
    return []


async def _expire_all(store: TaskStore, _: list[Claim]) -> None:
    # First the results go, then the records.
    while (await store.expire()).count:
        pass


MOVES = [
    Move(
        "enqueue",
        _nothing,
        lambda store, _: store.enqueue([new_task("a"), new_task("b")]),
        TaskState.QUEUED,
    ),
    Move(
        "claim",
        _in_state(TaskState.QUEUED),
        lambda store, _: store.claim(["work"], count=2, worker="w", lease=LEASE, call=new_call()),
        TaskState.RUNNING,
    ),
    Move(
        "renew", _claimed, lambda store, claims: store.renew(claims, lease=LEASE), TaskState.RUNNING
    ),
    Move(
        "progress",
        _claimed,
        lambda store, claims: store.report_progress([(c, Progress(current=1)) for c in claims]),
        TaskState.RUNNING,
    ),
    Move(
        "append",
        _claimed,
        lambda store, claims: store.append([LogLine(c, 1, "said once", None) for c in claims]),
        TaskState.RUNNING,
    ),
    Move(
        "complete",
        _claimed,
        lambda store, claims: store.complete([Completion(c, b"1") for c in claims]),
        TaskState.COMPLETED,
    ),
    Move(
        "fail",
        _claimed,
        lambda store, claims: store.fail([Failure(c, BROKEN, AN_HOUR) for c in claims]),
        TaskState.RETRYING,
    ),
    Move("release", _claimed, lambda store, claims: store.release(claims), TaskState.QUEUED),
    Move(
        "cancel",
        _in_state(TaskState.QUEUED),
        lambda store, _: store.cancel_many("ab", states=TaskState),
        TaskState.CANCELLED,
    ),
    Move(
        "retry",
        _in_state(TaskState.FAILED),
        lambda store, _: store.retry_many("ab", states=TERMINAL_STATES),
        TaskState.QUEUED,
    ),
    Move(
        "delete",
        _in_state(TaskState.FAILED),
        lambda store, _: store.delete_many("ab", states=TERMINAL_STATES),
        None,
    ),
    Move("promote", _due, lambda store, _: store.promote(), TaskState.QUEUED),
    Move("queue_timeout", _waited, lambda store, _: store.queue_timeout(), TaskState.FAILED),
    Move("reclaim", _lost, lambda store, _: store.reclaim(retry_delay=AN_HOUR), TaskState.RETRYING),
    Move("expire", _expired, _expire_all, None),
]

# What is cut, and after how many bytes; a longer run tries more of them.
CUTS = [
    ("request", 0),
    ("request", 20),
    ("reply", 0),
    ("reply", 1),
    ("reply", 5),
    *((random.choice(["request", "reply"]), random.randrange(200)) for _ in range(rounds(5) - 5)),
]
_UNCOUNTED = {"renew", "delete", "expire"}
# Only the latest report is kept, so that the same once more changes nothing.
_TOLD_TWICE = {"progress"}


@pytest.fixture
async def proxied(store: TaskStore, redis_url: str) -> AsyncIterator[tuple[Proxy, TaskStore]]:
    """The store through a proxy; it knows all scripts, so that each call is one request."""
    async with (
        Proxy(parse_redis_url(redis_url)) as proxy,
        Redis(parse_redis_url(proxy.url)) as redis,
    ):
        for script in SCRIPTS.values():
            await redis.call(b"SCRIPT", b"LOAD", script.source)
        yield proxy, TaskStore(redis, store.keys)


@pytest.mark.parametrize(("what", "after"), CUTS)
@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.script)
async def test_a_move_whose_connection_is_cut_is_made_once(
    store: TaskStore, proxied: tuple[Proxy, TaskStore], move: Move, what: str, after: int
) -> None:
    proxy, through = proxied
    claims = await move.prepare(store)
    before = await _revision(store)
    cut = proxy.cut_request if what == "request" else proxy.cut_reply
    cut(of=SCRIPTS[move.script].sha.encode(), after=after)

    await move.make(through, claims)

    assert proxy.cuts == 1
    tasks = await store.get_many(["a", "b"], full=True)
    assert [task and task.state for task in tasks] == [move.state] * 2
    # Each call that changes tasks is counted, so a second one would have been.
    once = int(move.script not in _UNCOUNTED)
    counted = await _revision(store) - before
    assert once <= counted <= once + (move.script in _TOLD_TWICE)


async def _revision(store: TaskStore) -> int:
    return int(await store.redis.call(b"GET", store.keys.revision) or 0)


async def test_a_claim_whose_reply_is_cut_is_given_again_and_costs_nothing(
    store: TaskStore, proxied: tuple[Proxy, TaskStore]
) -> None:
    proxy, through = proxied
    await enqueue(store, "a", "b", "c")
    proxy.cut_reply(of=SCRIPTS["claim"].sha.encode())

    claims, *_ = await through.claim(["work"], count=2, worker="w", lease=LEASE)

    assert [(claim.task_id, claim.attempt) for claim in claims] == [("a", 1), ("b", 1)]
    assert await store.complete([Completion(c, b"1") for c in claims]) == [Verdict.OK] * 2
    assert (await store.get("c")).state is TaskState.QUEUED


async def test_a_claim_that_is_made_again_after_an_outage_gives_the_same_with_a_new_lease(
    store: TaskStore,
) -> None:
    await enqueue(store, "a", "b")
    call = new_call()
    (unheard,), *_ = await store.claim(["work"], count=1, worker="w", lease=NO_TIME, call=call)

    (again,), *_ = await store.claim(["work"], count=1, worker="w", lease=LEASE, call=call)
    other, *_ = await store.claim(["work"], count=1, worker="w", lease=LEASE)

    assert (again.task_id, again.attempt, again.nonce) == ("a", 1, unheard.nonce)
    assert again.start_us == unheard.start_us
    assert await store.reclaim(retry_delay=NO_TIME) == []
    assert [claim.task_id for claim in other] == ["b"]


async def test_what_was_taken_away_meanwhile_is_not_given_again(store: TaskStore) -> None:
    await enqueue(store, "a")
    call = new_call()
    await store.claim(["work"], count=1, worker="w", lease=NO_TIME, call=call)
    await reclaim(store, 1, retry_delay=AN_HOUR)

    again = await store.claim(["work"], count=1, worker="w", lease=LEASE, call=call)
    assert (again.claims, again.dangling) == ([], [])
