"""The limits of the store: its scripts called without gRPC: `python -m bench.raw_store`.

As the server and the workers call them, on an embedded store that keeps its data.
"""

import asyncio
import time
from datetime import timedelta

from bench.figures import Figures, Size, alone
from bench.load import rate
from bench.real_store import real_store
from bench.workload import NOTHING, TEXT
from taskline_service.ids import new_id
from taskline_service.store import TaskStore
from taskline_service.store.values import Completion, NewTask
from taskline_service.task import Claim, TaskSpec

_PER_CALL = 100
_PER_CLAIM = 64
_LEASE = timedelta(minutes=5)


async def measure(size: Size) -> Figures:
    """Tasks a second in each move."""
    count = 10_000 if size.quick else 40_000
    async with real_store("bench-raw-store") as store:

        async def enqueue(_: int) -> None:
            await store.enqueue([_new(number) for number in range(_PER_CALL)])

        enqueued = _PER_CALL * await rate(count // _PER_CALL, enqueue, in_flight=4)
        began = time.perf_counter()
        completing = list[asyncio.Task[object]]()
        done = 0
        while claims := await _claims(store):
            done += len(claims)
            moves = [Completion(claim, b'{"ok":true,"n":1}') for claim in claims]
            completing.append(asyncio.create_task(store.complete(moves)))
        await asyncio.gather(*completing)
        executed = done / (time.perf_counter() - began)
    assert done == count
    return {
        "raw store: enqueue, 100 a call, 4 in flight, tasks/s": enqueued,
        "raw store: claim and complete, 64 a call, tasks/s": executed,
    }


async def _claims(store: TaskStore) -> list[Claim]:
    return (await store.claim([NOTHING], count=_PER_CLAIM, worker="w", lease=_LEASE))[0]


def _new(number: int) -> NewTask:
    task_id, input = new_id(), b'{"number":%d,"text":"%s"}' % (number, TEXT.encode())
    return NewTask(
        spec=TaskSpec(id=task_id, uid=task_id, task_type=NOTHING, queue="default", input=input)
    )


if __name__ == "__main__":
    alone(measure)
