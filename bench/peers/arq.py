"""arq: https://github.com/python-arq/arq."""

import asyncio

import uvloop
from arq import Worker, create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

from bench.peers.programs import CONCURRENCY, EXECUTIONS, TEXT, AsyncProducer, program

_EVERY_S = 0.001


async def nothing(context, number: int, text: str):
    return EXECUTIONS.note(number)


class ArqProducer(AsyncProducer[Job]):
    def __init__(self, socket: str) -> None:
        self._settings = RedisSettings(unix_socket_path=socket)

    async def open(self) -> None:
        self._pool = await create_pool(self._settings)

    async def enqueue(self, number):
        return await self._pool.enqueue_job("nothing", number, TEXT)

    async def result(self, job):
        return await job.result(timeout=60, poll_delay=_EVERY_S)


def work(socket: str, default: bool) -> None:
    best = {"max_jobs": CONCURRENCY, "poll_delay": 0.01}
    asyncio.set_event_loop(uvloop.new_event_loop())
    settings = RedisSettings(unix_socket_path=socket)
    Worker([nothing], redis_settings=settings, **({} if default else best)).run()


if __name__ == "__main__":
    program(ArqProducer, work, uvloop.run)
