"""streaQ: https://github.com/tastyware/streaq."""

import uvloop
from streaq import Worker
from streaq.task import Task

from bench.peers.programs import CONCURRENCY, EXECUTIONS, TEXT, AsyncProducer, program


def _worker(socket: str, **options):
    worker = Worker(redis_url=f"unix://{socket}", **options)

    @worker.task(name="nothing")
    async def nothing(number: int, text: str) -> dict:
        return EXECUTIONS.note(number)

    return worker, nothing


class StreaqProducer(AsyncProducer[Task]):
    # Each takes a connection of its own.
    reads_in_flight = 16

    def __init__(self, socket: str) -> None:
        self._worker, self._nothing = _worker(socket)

    async def open(self) -> None:
        await self._worker.__aenter__()

    async def enqueue(self, number):
        return await self._nothing.enqueue(number, TEXT)

    async def enqueue_batch(self, numbers):
        tasks = [self._nothing.enqueue(number, TEXT) for number in numbers]
        await self._worker.enqueue_many(tasks)
        return tasks

    async def result(self, task):
        return (await task.result(timeout=60)).result


def work(socket: str, default: bool) -> None:
    options = {} if default else {"concurrency": CONCURRENCY}
    uvloop.run(_worker(socket, **options)[0].run_async())


if __name__ == "__main__":
    program(StreaqProducer, work, uvloop.run)
