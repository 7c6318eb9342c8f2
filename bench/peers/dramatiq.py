"""dramatiq: https://github.com/Bogdanp/dramatiq."""

import threading

import dramatiq
from dramatiq import Message, Worker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend

from bench.peers.programs import EXECUTIONS, TEXT, Producer, program

_WAIT_MS = 60_000


def _broker(socket: str):
    url = f"unix://{socket}"
    broker = RedisBroker(url=url)
    broker.add_middleware(Results(backend=RedisBackend(url=url)))

    @dramatiq.actor(actor_name="nothing", broker=broker, store_results=True)
    def nothing(number: int, text: str):
        return EXECUTIONS.note(number)

    return broker, nothing


class DramatiqProducer(Producer[Message]):
    """Blocking calls, made by one thread."""

    def __init__(self, socket: str) -> None:
        self._broker, self._nothing = _broker(socket)
        dramatiq.set_broker(self._broker)

    async def enqueue_all(self, numbers):
        return [self._nothing.send(number, TEXT) for number in numbers]

    async def results(self, messages):
        return [message.get_result(block=True, timeout=_WAIT_MS) for message in messages]


def work(socket: str, default: bool) -> None:
    worker = Worker(_broker(socket)[0], worker_threads=8)
    worker.start()
    threading.Event().wait()


if __name__ == "__main__":
    program(DramatiqProducer, work)
