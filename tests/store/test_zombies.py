"""Workers that were taken for dead and come back: whatever they send is refused."""

from datetime import timedelta

from taskline_service.store import TaskStore
from taskline_service.store.values import (
    Completion,
    Failure,
    LogLine,
    Output,
    Verdict,
)
from taskline_service.task import Claim, Progress, TaskState
from tests.store.making import (
    BROKEN,
    LEASE,
    NO_TIME,
    claim_all,
    enqueue,
    new_task,
    promote,
    reclaim,
    states,
)

ZOMBIES = 5_000


async def claim_every(store: TaskStore, *, worker: str, lease: timedelta) -> list[Claim]:
    claims = list[Claim]()
    while more := await claim_all(store, worker=worker, lease=lease):
        claims += more
    return claims


async def test_five_thousand_zombies_are_refused_and_their_heirs_results_stand(
    store: TaskStore,
) -> None:
    await enqueue(store, *(new_task(f"t-{i}") for i in range(ZOMBIES)))
    zombies = await claim_every(store, worker="stopped", lease=NO_TIME)
    await reclaim(store, ZOMBIES, retry_delay=NO_TIME)
    await promote(store, ZOMBIES)
    heirs = await claim_every(store, worker="heir", lease=LEASE)

    verdicts = {
        "renew": await store.renew(zombies, lease=LEASE),
        "progress": await store.report_progress([(z, Progress(current=1)) for z in zombies]),
        "log": await store.append([LogLine(z, 2**40, "I live", None) for z in zombies]),
        "output": await store.append([Output(z, 2**40, b"1") for z in zombies]),
        "complete": await store.complete([Completion(z, b'"zombie"') for z in zombies]),
        "fail": await store.fail([Failure(z, BROKEN, None) for z in zombies]),
        "fail, to be retried": await store.fail([Failure(z, BROKEN, NO_TIME) for z in zombies]),
        "release": await store.release(zombies),
    }
    recorded = await store.complete([Completion(h, b'"heir"') for h in heirs])

    assert len(zombies) == len(heirs) == ZOMBIES
    assert verdicts == {move: [Verdict.LOST] * ZOMBIES for move in verdicts}
    assert recorded == [Verdict.OK] * ZOMBIES


async def test_a_zombie_is_refused_after_its_heir_has_ended_the_task(store: TaskStore) -> None:
    await enqueue(store, "a")
    (zombie,) = await claim_all(store, worker="stopped", lease=NO_TIME)
    await reclaim(store, 1, retry_delay=NO_TIME)
    await promote(store, 1)
    (heir,) = await claim_all(store, worker="heir")
    await store.complete([Completion(heir, b'"heir"')])

    verdicts = [
        *await store.renew([zombie], lease=LEASE),
        *await store.complete([Completion(zombie, b'"zombie"')]),
        *await store.fail([Failure(zombie, BROKEN, NO_TIME)]),
        *await store.release([zombie]),
    ]

    assert verdicts == [Verdict.LOST] * 4
    assert (await store.get_outcome("a"))[1] == b'"heir"'
    assert (await states(store))["a"] is TaskState.COMPLETED


async def test_a_zombie_is_refused_while_nobody_has_claimed_its_task_again(
    store: TaskStore,
) -> None:
    await enqueue(store, "a")
    (zombie,) = await claim_all(store, worker="stopped", lease=NO_TIME)
    await reclaim(store, 1, retry_delay=timedelta(hours=1))

    assert await store.complete([Completion(zombie, b"1")]) == [Verdict.LOST]
    assert (await states(store))["a"] is TaskState.RETRYING
