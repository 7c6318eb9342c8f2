"""taskiq with taskiq-redis: https://github.com/taskiq-python/taskiq."""

import uvloop
from taskiq import AsyncTaskiqTask
from taskiq.api import run_receiver_task
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from bench.peers.programs import CONCURRENCY, EXECUTIONS, TEXT, AsyncProducer, program

_EVERY_S = 0.001


def _broker(socket: str):
    url = f"unix://{socket}"
    results = RedisAsyncResultBackend(
        url, result_ex_time=3600, max_connection_pool_size=CONCURRENCY
    )
    broker = RedisStreamBroker(url, max_connection_pool_size=CONCURRENCY, consumer_id="0")
    broker = broker.with_result_backend(results).with_serializer(ORJSONSerializer())

    @broker.task(task_name="nothing")
    async def nothing(number: int, text: str):
        return EXECUTIONS.note(number)

    return broker, nothing


class TaskiqProducer(AsyncProducer[AsyncTaskiqTask]):
    def __init__(self, socket: str) -> None:
        self._broker, self._nothing = _broker(socket)

    async def open(self) -> None:
        await self._broker.startup()

    async def enqueue(self, number):
        return await self._nothing.kiq(number, TEXT)

    async def result(self, task):
        return (await task.wait_result(check_interval=_EVERY_S, timeout=60)).return_value


def work(socket: str, default: bool) -> None:
    uvloop.run(run_receiver_task(_broker(socket)[0], run_startup=True, max_async_tasks=100))


if __name__ == "__main__":
    program(TaskiqProducer, work, uvloop.run)
