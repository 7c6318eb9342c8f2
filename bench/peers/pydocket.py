"""Docket: https://github.com/chrisguidry/docket."""

from datetime import timedelta

import uvloop
from docket import Docket, Worker
from docket.execution import Execution

from bench.peers.programs import CONCURRENCY, EXECUTIONS, TEXT, AsyncProducer, program

_CHECK = timedelta(milliseconds=5)


async def nothing(number: int, text: str) -> dict:
    return EXECUTIONS.note(number)


class DocketProducer(AsyncProducer[Execution]):
    def __init__(self, socket: str) -> None:
        self._docket = Docket(name="bench", url=f"unix://{socket}?max_connections=300")

    async def open(self) -> None:
        await self._docket.__aenter__()
        self._docket.register(nothing)

    async def enqueue(self, number):
        # A key of its own for each: what add() returns may be called once.
        return await self._docket.add(nothing)(number, TEXT)

    async def enqueue_batch(self, numbers):
        calls = [self._docket.call(nothing)(number, TEXT) for number in numbers]
        return await self._docket.add_many(calls)

    async def result(self, execution):
        await execution.sync()
        return await execution.get_result(timeout=timedelta(seconds=60))


def work(socket: str, default: bool) -> None:
    async def run() -> None:
        best = {"concurrency": CONCURRENCY, "minimum_check_interval": _CHECK}
        async with Docket(name="bench", url=f"unix://{socket}?max_connections=300") as docket:
            docket.register(nothing)
            async with Worker(docket, **({} if default else best)) as worker:
                await worker.run_forever()

    uvloop.run(run())


if __name__ == "__main__":
    program(DocketProducer, work, uvloop.run)
