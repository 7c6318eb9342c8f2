"""What the store spends on each move of a task, in batches of 100: `python -m bench.move_cost`."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from bench.real_store import real_store
from taskline_service.ids import new_id
from taskline_service.store import TaskStore
from taskline_service.store.chunks import MOVES_PER_CALL
from taskline_service.store.values import Completion, NewTask
from taskline_service.task import TaskSpec

TASKS = 20_000
ROUNDS = 5
LEASE = timedelta(minutes=5)


async def script_us(store: TaskStore) -> int:
    """Microseconds that the store has spent in scripts so far."""
    info: bytes = await store.redis.call(b"INFO", b"commandstats")
    lines: Iterable[str] = info.decode().splitlines()
    stats = [line for line in lines if line.startswith("cmdstat_eval")]
    return sum(int(line.split("usec=")[1].split(",")[0]) for line in stats)


async def one_round(store: TaskStore) -> dict[str, float]:
    """Microseconds of script per task, by move."""
    spent, before = dict[str, float](), await script_us(store)

    async def note(move: str) -> None:
        nonlocal before
        now = await script_us(store)
        spent[move], before = (now - before) / TASKS, now

    for _ in range(TASKS // MOVES_PER_CALL):
        ids = [new_id() for _ in range(MOVES_PER_CALL)]
        specs = [TaskSpec(id=i, uid=i, task_type="work", queue="default") for i in ids]
        await store.enqueue([NewTask(spec=spec) for spec in specs])
    await note("enqueue")
    claims = []
    for _ in range(TASKS // MOVES_PER_CALL):
        claims += (await store.claim(["work"], count=MOVES_PER_CALL, worker="w", lease=LEASE))[0]
    await note("claim")
    await store.complete([Completion(claim, b"1") for claim in claims])
    await note("complete")
    return spent


async def main() -> None:
    """Print the best of several rounds: the others had company on the machine."""
    async with real_store("bench-move-cost") as store:
        rounds = [await one_round(store) for _ in range(ROUNDS)]
    best = {move: min(spent[move] for spent in rounds) for move in rounds[0]}
    print(", ".join(f"{move} {us:.2f} us" for move, us in best.items()), end="; ")
    print(f"whole life {sum(best.values()):.2f} us a task")


if __name__ == "__main__":
    asyncio.run(main())
