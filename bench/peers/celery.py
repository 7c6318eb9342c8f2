"""Celery: https://github.com/celery/celery."""

from celery import Celery
from celery.result import AsyncResult

from bench.peers.programs import EXECUTIONS, TEXT, Producer, program

_BEST = ("--concurrency=2", "--prefetch-multiplier=64", "--without-gossip", "--without-mingle")


def _app(socket: str):
    url = f"redis+socket://{socket}"
    app = Celery("bench", broker=url, backend=url)
    app.conf.broker_connection_retry_on_startup = True

    @app.task(name="nothing")
    def nothing(number: int, text: str):
        return EXECUTIONS.note(number)

    return app, nothing


class CeleryProducer(Producer[AsyncResult]):
    """Blocking calls, made by one thread."""

    def __init__(self, socket: str) -> None:
        _, self._nothing = _app(socket)

    async def enqueue_all(self, numbers):
        return [self._nothing.delay(number, TEXT) for number in numbers]

    async def results(self, results):
        return [result.get(timeout=60) for result in results]


def work(socket: str, default: bool) -> None:
    options = () if default else _BEST
    _app(socket)[0].worker_main(["worker", "--loglevel=warning", *options])


if __name__ == "__main__":
    program(CeleryProducer, work)
