"""How long one call of each script keeps the store busy: `python -m bench.script_time [TASKS]`.

A store executes one script at a time, so the longest one is what everybody else waits for. With a
million tasks in the store, every move is made in steps as large as the service makes them, several
times; the time is the store's own (its slow log), without the way there and back. Fails if the
median of any step is above 5 ms. On a machine with other work, the longest one also holds what the
store itself had to wait for; the shortest one does not.
"""

import asyncio
import itertools
import statistics
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

from bench.real_store import real_store
from taskline_service.ids import new_id
from taskline_service.store import Directory, TaskStore
from taskline_service.store.chunks import CLAIMS_PER_CALL, ENQUEUES_PER_CALL, MOVES_PER_CALL
from taskline_service.store.values import (
    Completion,
    Failure,
    ListQuery,
    LogLine,
    NewTask,
)
from taskline_service.task import (
    TERMINAL_STATES,
    Claim,
    ErrorType,
    Progress,
    TaskError,
    TaskSpec,
    TaskState,
)

MANY = 1_000_000
MOST_MS = 5.0
ROUNDS = 20
FILL_STEP = 1_000
LARGEST_PAGE = 1_000
TYPES = [f"type-{number}" for number in range(5)]
QUEUES = [f"queue-{number}" for number in range(5)]
LEASE = timedelta(hours=1)
NO_TIME, SOON, LONG = timedelta(0), timedelta(milliseconds=1), timedelta(days=1)
ALL_LABELS = {f"label-{number}": "x" for number in range(16)}
ERROR = TaskError(
    error_type=ErrorType.RUNTIME,
    message="no good",
    exception_class="builtins.ValueError",
    traceback="x" * 4_000,
    is_retryable=True,
)
_numbers = itertools.count()


def new_tasks(
    count: int,
    *,
    delay: timedelta | None = None,
    queue_timeout: timedelta | None = None,
    labels: dict[str, str] | None = None,
) -> list[NewTask]:
    """Tasks of all types on all queues."""
    tasks = list[NewTask]()
    for number in itertools.islice(_numbers, count):
        task_id = new_id()
        spec = TaskSpec(
            id=task_id,
            uid=task_id,
            task_type=TYPES[number % len(TYPES)],
            queue=QUEUES[number // len(TYPES) % len(QUEUES)],
            labels={"customer": str(number % 10_000)} if labels is None else labels,
            queue_timeout=queue_timeout,
            input=b'{"text": "' + b"x" * 80 + b'"}',
        )
        tasks.append(NewTask(spec=spec, delay=delay))
    return tasks


async def fill(store: TaskStore, count: int) -> None:
    """Tasks in every state, most of them queued; a tenth has ended."""
    for number in range(count // FILL_STEP):
        await store.enqueue(new_tasks(FILL_STEP, delay=LONG if number % 10 == 0 else None))
        claims = await claim(store)
        await store.complete([Completion(c, b'{"ok": true}') for c in claims[: len(claims) // 2]])
        await store.fail([Failure(c, ERROR, None) for c in claims[len(claims) // 2 :]])


async def claim(store: TaskStore) -> list[Claim]:
    """As many as one call gives."""
    return (await store.claim(TYPES, count=CLAIMS_PER_CALL, worker="w", lease=LEASE))[0]


Call = Callable[[], Awaitable[object]]
Preparation = Callable[[], Awaitable[Call]]


class Steps:
    """What is measured: each is prepared, and then made in one call of the store."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._directory = Directory(store.redis, store.keys)

    def all(self) -> dict[str, Preparation]:
        """Every step by name."""
        return self._accepting() | self._working() | self._operating() | self._reading()

    def _accepting(self) -> dict[str, Preparation]:
        store = self._store
        return {
            "enqueue": plain(lambda: store.enqueue(new_tasks(ENQUEUES_PER_CALL))),
            "enqueue, 16 labels each": plain(
                lambda: store.enqueue(new_tasks(ENQUEUES_PER_CALL, labels=ALL_LABELS))
            ),
            "promote": self._with_new(store.promote, delay=SOON),
            "queue_timeout": self._with_new(store.queue_timeout, queue_timeout=SOON),
            "cancel": self._with_new_ids(
                lambda ids: store.cancel_many(ids, states=[TaskState.QUEUED])
            ),
        }

    def _working(self) -> dict[str, Preparation]:
        store = self._store
        return {
            "claim": plain(lambda: claim(store)),
            "renew": self._with_claims(lambda claims: store.renew(claims, lease=LEASE)),
            "progress": self._with_claims(
                lambda claims: store.report_progress([(c, Progress(current=1)) for c in claims])
            ),
            "append": self._with_claims(lambda claims: store.append(lines_of(claims))),
            "complete": self._with_claims(
                lambda claims: store.complete([Completion(c, b"1") for c in claims])
            ),
            "fail, to be retried": self._with_claims(
                lambda claims: store.fail([Failure(c, ERROR, LONG) for c in claims])
            ),
            "fail": self._with_claims(
                lambda claims: store.fail([Failure(c, ERROR, None) for c in claims])
            ),
            "release": self._with_claims(store.release),
            "reclaim": self._lost,
        }

    def _operating(self) -> dict[str, Preparation]:
        store = self._store
        return {
            "expire": self._over,
            "retry": self._with_ended(lambda ids: store.retry_many(ids, states=TERMINAL_STATES)),
            "delete": self._with_ended(lambda ids: store.delete_many(ids, states=TERMINAL_STATES)),
        }

    def _reading(self) -> dict[str, Preparation]:
        store = self._store
        return {
            "get": self._with_ended(store.get_many),
            "get, in full": self._with_ended(lambda ids: store.get_many(ids, full=True)),
            "list": plain(lambda: store.list(ListQuery(), count=LARGEST_PAGE)),
            "list, in full": plain(lambda: store.list(ListQuery(full=True), count=LARGEST_PAGE)),
            "list, none found": plain(lambda: store.list(ListQuery(min_attempts=99), count=50)),
            "stats, of a day": plain(lambda: store.stats(window=timedelta(days=1))),
            "queues": plain(lambda: self._directory.queues(count=LARGEST_PAGE)),
        }

    def _with_new(
        self,
        call: Call,
        *,
        delay: timedelta | None = None,
        queue_timeout: timedelta | None = None,
    ) -> Preparation:
        async def prepare() -> Call:
            tasks = new_tasks(MOVES_PER_CALL, delay=delay, queue_timeout=queue_timeout)
            await self._store.enqueue(tasks)
            await asyncio.sleep(SOON.total_seconds())
            return call

        return prepare

    def _with_new_ids(self, move: Callable[[list[str]], Awaitable[object]]) -> Preparation:
        async def prepare() -> Call:
            tasks = new_tasks(MOVES_PER_CALL)
            await self._store.enqueue(tasks)
            return lambda: move([new.spec.id for new in tasks])

        return prepare

    def _with_claims(self, move: Callable[[list[Claim]], Awaitable[object]]) -> Preparation:
        async def prepare() -> Call:
            claims = await claim(self._store)
            return lambda: move(claims)

        return prepare

    def _with_ended(self, move: Callable[[list[str]], Awaitable[object]]) -> Preparation:
        async def prepare() -> Call:
            query = ListQuery(states=[TaskState.FAILED])
            page = await self._store.list(query, count=MOVES_PER_CALL)
            return lambda: move([task.id for task in page.tasks])

        return prepare

    async def _lost(self) -> Call:
        await self._store.claim(TYPES, count=MOVES_PER_CALL, worker="w", lease=NO_TIME)
        return lambda: self._store.reclaim(retry_delay=LONG)

    async def _over(self) -> Call:
        """Tasks with a story and an error, whose time is over."""
        brief = TaskStore(
            self._store.redis, self._store.keys, result_ttl=NO_TIME, record_ttl=NO_TIME
        )
        claims = await claim(self._store)
        for _ in range(10):
            await self._store.append(lines_of(claims))
        await brief.fail([Failure(c, ERROR, None) for c in claims])
        return brief.expire


def plain(call: Call) -> Preparation:
    """A step that needs nothing else."""

    async def prepare() -> Call:
        return call

    return prepare


def lines_of(claims: list[Claim]) -> list[LogLine]:
    """One line of each."""
    return [LogLine(c, next(_numbers) + 1, "x" * 500, None) for c in claims]


async def longest_call_us(store: TaskStore) -> int:
    """Of the scripts that ran since the slow log was emptied: the one that took longest."""
    entries = await store.redis.call(b"SLOWLOG", b"GET", b"1000")
    return max(int(entry[2]) for entry in entries if entry[3][0].upper().startswith(b"EVAL"))


async def main(count: int) -> bool:
    """Print a line for each step; whether all of them were short enough."""
    async with real_store("bench-script-time") as store:
        await fill(store, count)
        for name, value in (("slowlog-log-slower-than", "0"), ("slowlog-max-len", "1000")):
            await store.redis.call(b"CONFIG", b"SET", name, value)
        print(f"{'one call, ' + format(count, ',') + ' tasks':28} shortest   median    longest")
        fine = True
        for name, prepare in Steps(store).all().items():
            times = list[float]()
            for _ in range(ROUNDS):
                call = await prepare()
                await store.redis.call(b"SLOWLOG", b"RESET")
                await call()
                times.append(await longest_call_us(store) / 1000)
            shortest, median = min(times), statistics.median(times)
            fine = fine and median < MOST_MS
            print(
                f"{name:28} {shortest:5.2f} ms {median:5.2f} ms  {max(times):6.2f} ms", flush=True
            )
    return fine


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)) else 1)
