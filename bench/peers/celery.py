"""Celery: https://github.com/celery/celery."""

from celery import Celery
from celery.result import AsyncResult

from bench.peers.programs import EXECUTIONS, TEXT, Producer, program

_BEST = ("--concurrency=2", "--prefetch-multiplier=64", "--without-gossip", "--without-mingle")
_WAIT_S, _EVERY_S = 60, 0.005


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
        self._app, self._nothing = _app(socket)

    async def enqueue_all(self, numbers):
        return [self._nothing.delay(number, TEXT) for number in numbers]

    async def results(self, results):
        if len(results) == 1:
            return [results[0].get(timeout=_WAIT_S)]
        # One question for many: each get() would subscribe anew.
        ids = [result.id for result in results]
        found = self._app.backend.get_many(ids, timeout=_WAIT_S, interval=_EVERY_S)
        answers = {task_id: told["result"] for task_id, told in found}
        return [answers[task_id] for task_id in ids]


def work(socket: str, default: bool) -> None:
    options = () if default else _BEST
    _app(socket)[0].worker_main(["worker", "--loglevel=warning", *options])


if __name__ == "__main__":
    program(CeleryProducer, work)
