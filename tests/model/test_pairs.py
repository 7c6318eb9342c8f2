"""Two moves of one task, in either order, from every state: a race has one winner.

Each answer and what is then stored are compared with the reference, too.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from taskline_service.errors import TasklineError, TaskNotFound, TaskNotTerminal
from taskline_service.store import parse_redis_url
from taskline_service.store.values import Completion, Conflict, Failure, LogLine, Verdict
from taskline_service.task import Claim, Progress, TaskState
from tests.census import remove_keys
from tests.model.world import ComparedRedis, World, scripts_get_the_time
from tests.store.making import AN_HOUR, BROKEN, LEASE, LOST, NO_TIME, new_task, reach

Told = Verdict | type[TasklineError] | None
Move = Callable[[World, Claim], Awaitable[Told]]

GUESSED = Claim(
    spec=new_task("t").spec,
    attempt=1,
    failures=0,
    nonce=b"a guess!",
    create_us=0,
    schedule_us=0,
    start_us=0,
)
A_WEEK = timedelta(days=8)

REFUSED = {Verdict.LOST, Verdict.REPEATED}
# What a worker may do with its claim; it is always told.
WORKER_MOVES = (
    *("renew", "progress", "append", "complete", "fail", "fail for now"),
    *("fail, unstoppable", "lose its process", "release"),
)
# All else that may leave a terminal state is an operator's act, or the end of its time.
LEAVES_ENDED = {"retry", "delete", "expire", "enqueue another"}


async def _told(moving: Awaitable[list[Verdict]]) -> Verdict:
    (verdict,) = await moving
    return verdict


async def _refused(moving: Awaitable[None]) -> type[TasklineError] | None:
    try:
        await moving
    except TasklineError as error:
        return type(error)
    return None


async def _enqueue_another(world: World) -> None:
    await world.store.enqueue([new_task("t", on_conflict=Conflict.REPLACE_TERMINAL)])


async def _claim(world: World, *, isolates: bool = False) -> None:
    await world.store.claim(["work"], count=1, worker="other", lease=LEASE, isolates=isolates)


async def _later(world: World, span: timedelta, upkeep: Callable[[], Awaitable[object]]) -> None:
    world.pass_time(span)
    await upkeep()


async def _reclaim(world: World) -> None:
    world.pass_time(2 * LEASE)
    await world.store.reclaim(retry_delay=AN_HOUR)


MOVES: dict[str, Move] = {
    "claim": lambda w, c: _refused(_claim(w)),
    "claim, to run it alone": lambda w, c: _refused(_claim(w, isolates=True)),
    "renew": lambda w, c: _told(w.store.renew([c], lease=LEASE)),
    "progress": lambda w, c: _told(w.store.report_progress([(c, Progress(current=1))])),
    "append": lambda w, c: _told(w.store.append([LogLine(c, w.redis.now, "said", None)])),
    "complete": lambda w, c: _told(w.store.complete([Completion(c, b"1")])),
    "fail": lambda w, c: _told(w.store.fail([Failure(c, BROKEN, None)])),
    "fail for now": lambda w, c: _told(w.store.fail([Failure(c, BROKEN, AN_HOUR)])),
    "fail, unstoppable": lambda w, c: _told(
        w.store.fail([Failure(c, BROKEN, NO_TIME, unstoppable=True)])
    ),
    "lose its process": lambda w, c: _told(w.store.fail([Failure(c, LOST, NO_TIME)])),
    "release": lambda w, c: _told(w.store.release([c])),
    "cancel": lambda w, c: _refused(w.store.cancel("t")),
    "retry": lambda w, c: _refused(w.store.retry("t")),
    "delete": lambda w, c: _refused(w.store.delete("t")),
    "enqueue another": lambda w, c: _refused(_enqueue_another(w)),
    "promote": lambda w, c: _refused(_later(w, 2 * AN_HOUR, w.store.promote)),
    "queue_timeout": lambda w, c: _refused(_later(w, 2 * AN_HOUR, w.store.queue_timeout)),
    "reclaim": lambda w, c: _refused(_reclaim(w)),
    "expire": lambda w, c: _refused(_later(w, A_WEEK, w.store.expire)),
}


@pytest.fixture
async def redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ComparedRedis]:
    scripts_get_the_time(monkeypatch)
    async with ComparedRedis(parse_redis_url(redis_url)) as redis:
        yield redis


async def _move_and_check(world: World, name: str, claim: Claim) -> None:
    """Make a move; whoever comes too late is told, and what has ended stays."""
    task = world.reference.tasks.get("t")
    before, nonce = (TaskState(task.state), task.nonce) if task else (None, None)

    told = await MOVES[name](world, claim)

    await world.check()
    task = world.reference.tasks.get("t")
    if before is not None and before.terminal and name not in LEAVES_ENDED:
        assert task is not None and task.state == before
    if name in WORKER_MOVES:
        holds = before is TaskState.RUNNING and nonce == claim.nonce
        assert (told not in REFUSED) == holds
    elif before is None and name in ("cancel", "retry", "delete"):
        assert told is TaskNotFound
    elif before is not None and not before.terminal and name in ("retry", "delete"):
        assert told is TaskNotTerminal
    else:
        assert told is None


@pytest.mark.parametrize("first", MOVES)
@pytest.mark.parametrize("state", TaskState)
async def test_a_race_of_two_moves_has_one_winner(
    redis: ComparedRedis, state: TaskState, first: str
) -> None:
    for second in MOVES:
        world = World.fresh(redis)
        # A claim that was never given, where none was.
        claim = await reach(world.store, state, "t", queue_timeout=AN_HOUR) or GUESSED
        assert world.reference.tasks["t"].state == state
        try:
            await _move_and_check(world, first, claim)
            await _move_and_check(world, second, claim)
            await world.check_with_fsck()
        except AssertionError as error:
            error.add_note(f"{state}: {first}, then {second}")
            raise
        await remove_keys(redis, world.keys)
