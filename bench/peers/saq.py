"""saq: https://github.com/tobymao/saq."""

import asyncio
import contextlib

import uvloop
from saq import Job, Queue, Status, Worker
from saq.queue.redis import RedisQueue

from bench.peers.programs import CONCURRENCY, EXECUTIONS, TEXT, AsyncProducer, program

_LOOK_AGAIN_S = 0.05
_IN_VAIN = (Status.FAILED, Status.ABORTED)


async def nothing(context, *, number, text):
    return EXECUTIONS.note(number)


def _queue(socket: str, **options) -> Queue:
    return RedisQueue.from_url(f"unix://{socket}", **options)


class SaqProducer(AsyncProducer[Job]):
    def __init__(self, socket: str) -> None:
        self._queue = _queue(socket, max_concurrent_ops=CONCURRENCY)

    async def open(self) -> None:
        await self._queue.connect()

    async def enqueue(self, number):
        return await self._queue.enqueue("nothing", number=number, text=TEXT, ttl=3600)

    async def result(self, job):
        # An end between its look at the job and its subscription is missed: it looks again.
        while job.result is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await job.refresh(until_complete=_LOOK_AGAIN_S)
            assert job.status not in _IN_VAIN, job.error
        return job.result


def work(socket: str, default: bool) -> None:
    async def run() -> None:
        best = {} if default else {"max_concurrent_ops": CONCURRENCY}
        queue = _queue(socket, **best)
        await queue.connect()
        options = {} if default else {"concurrency": CONCURRENCY}
        await Worker(queue, functions=[nothing], **options).start()

    uvloop.run(run())


if __name__ == "__main__":
    program(SaqProducer, work, uvloop.run)
