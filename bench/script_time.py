"""How long one call of each script keeps the store busy: `python -m bench.script_time`.

A store executes one script at a time, so the longest one is what everybody else waits for. With a
million tasks in the store, every call is made as large as the service makes it, several times; then
again what grows with other things, with as many lines as there may be, many workers, and stories,
inputs and results at their largest. The time is the store's own (its slow log), without the way
there and back; the longest median counts. On a machine with other work, the longest one also holds
what the store itself had to wait for; the shortest one does not. The log of changes is full from
the beginning, so that every step that adds to it also trims it.
"""

import asyncio
import itertools
import math
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from bench.figures import Figures, Size, alone
from bench.real_store import real_store
from taskline_service.ids import new_id
from taskline_service.limits import (
    MAX_INPUT_BYTES,
    MAX_LINES,
    MAX_PAGE_SIZE,
    MAX_STATS_QUEUES,
)
from taskline_service.store import Directory, EventHub, RedisAddress, TaskStore, WorkerInfo
from taskline_service.store.chunks import (
    CLAIMS_PER_CALL,
    ENQUEUES_PER_CALL,
    MOVES_PER_CALL,
    RECORDS_PER_CALL,
)
from taskline_service.store.lines import known_lines
from taskline_service.store.values import (
    Completion,
    Failure,
    ListQuery,
    LogLine,
    NewTask,
    Output,
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

MOST_QUEUED = 10_000_000
LOGGED_FROM_US = 100
ROUNDS, QUICK_ROUNDS = 40, 10
FILL_STEP = 1_000
CLAIMS_PER_STEP = 4
TYPES = [f"type-{number}" for number in range(5)]
QUEUES = [f"queue-{number}" for number in range(5)]
MANY_TYPES = MANY_WORKERS = 1_000
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
        for _ in range(CLAIMS_PER_STEP):
            claims = await claim(store)
            half = len(claims) // 2
            await store.complete([Completion(c, b'{"ok": true}') for c in claims[:half]])
            await store.fail([Failure(c, ERROR, None) for c in claims[half:]])


async def crowd(store: TaskStore) -> None:
    """As many lines as there may be, each with a task: of many queues, and of many types on one."""
    known = len(await known_lines(store.redis, store.keys))
    pairs = [(f"other-{number}", QUEUES[0]) for number in range(MANY_TYPES)]
    pairs += [(TYPES[0], f"other-{number}") for number in range(MAX_LINES - known - len(pairs))]
    new = new_tasks(len(pairs))
    await store.enqueue(
        [
            replace(task, spec=replace(task.spec, task_type=task_type, queue=queue))
            for task, (task_type, queue) in zip(new, pairs, strict=True)
        ]
    )
    directory = Directory(store.redis, store.keys)
    for number in range(MANY_WORKERS):
        await directory.heartbeat(a_worker(f"worker-{number}"), ttl=LONG)


def a_worker(worker_id: str) -> WorkerInfo:
    """One that has many types and runs a hundred tasks."""
    return WorkerInfo(
        id=worker_id,
        identity="host",
        queues=(),
        task_types=tuple(f"other-{number}" for number in range(MANY_TYPES)),
        concurrency=100,
        running_task_ids=tuple(new_id() for _ in range(100)),
        start_us=0,
    )


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
            "list": plain(lambda: store.list(ListQuery(), count=RECORDS_PER_CALL)),
            "list, in full": plain(
                lambda: store.list(ListQuery(full=True), count=RECORDS_PER_CALL)
            ),
            "list, none found": plain(lambda: store.list(ListQuery(min_attempts=99), count=50)),
            "stats, of a day": plain(lambda: store.stats(window=timedelta(days=1))),
            "queues": plain(lambda: self._directory.queues(count=MAX_PAGE_SIZE)),
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

    def crowded(self) -> dict[str, Preparation]:
        """What grows with other things than tasks, of which there are as many as may be."""
        store, directory = self._store, self._directory
        limited = TaskStore(store.redis, store.keys, max_queued=MOST_QUEUED)
        hub = EventHub(store.redis, RedisAddress(), store.keys)
        queues = [f"other-{number}" for number in range(MAX_STATS_QUEUES)]
        queued = ListQuery(states=[TaskState.QUEUED])
        return {
            "list": plain(lambda: store.list(ListQuery(), count=RECORDS_PER_CALL)),
            "list, in one state": plain(lambda: store.list(queued, count=RECORDS_PER_CALL)),
            "list, none found": plain(lambda: store.list(ListQuery(min_attempts=99), count=50)),
            "stats, of a day": plain(lambda: store.stats(window=LONG)),
            "stats, of 100 queues": plain(lambda: store.stats(window=LONG, queues=queues)),
            "queues": plain(lambda: directory.queues(count=MAX_PAGE_SIZE)),
            "claim": plain(lambda: claim(store)),
            "claim, nothing for it": plain(
                lambda: store.claim(["none"], count=1, worker="w", lease=LEASE)
            ),
            "enqueue, with a limit": plain(lambda: limited.enqueue(new_tasks(ENQUEUES_PER_CALL))),
            "resume": plain(lambda: directory.resume(QUEUES[0])),
            "heartbeat": plain(lambda: directory.heartbeat(a_worker("w"), ttl=LONG)),
            "workers": plain(lambda: directory.workers(count=MAX_PAGE_SIZE)),
            "events of a long story": self._with_long_story(
                lambda task_id: store.story(task_id, after=0, count=MAX_PAGE_SIZE), stays=True
            ),
            "delete, a long story": self._with_long_story(store.delete),
            "get, long inputs": self._with_long_inputs(lambda ids: store.get_many(ids, full=True)),
            "read the log": self._with_long_log(
                lambda revision: hub.page_since(revision, lambda _line: False)
            ),
            "read the log and contents": self._with_long_log(
                lambda revision: hub.page_since(revision, lambda _line: True)
            ),
        }

    def _with_long_story(
        self, call: Callable[[str], Awaitable[object]], *, stays: bool = False
    ) -> Preparation:
        """It is told again and again if it `stays`."""
        told = list[Call]()

        async def prepare() -> Call:
            if stays and told:
                return told[0]
            (claim_of_one,), *_ = await self._store.claim(TYPES, count=1, worker="w", lease=LEASE)
            outputs = [Output(claim_of_one, n + 1, b"x" * 16_000) for n in range(1_000)]
            await self._store.append(outputs)
            await self._store.complete([Completion(claim_of_one, b"1")])
            told.append(lambda: call(claim_of_one.task_id))
            return told[-1]

        return prepare

    def _with_long_inputs(self, call: Callable[[list[str]], Awaitable[object]]) -> Preparation:
        ids = list[str]()

        async def prepare() -> Call:
            if not ids:
                new = new_tasks(RECORDS_PER_CALL, delay=LONG)
                long = [replace(n, spec=replace(n.spec, input=b"x" * MAX_INPUT_BYTES)) for n in new]
                await self._store.enqueue(long)
                ids.extend(n.spec.id for n in new)
            return lambda: call(ids)

        return prepare

    def _with_long_log(self, call: Callable[[int], Awaitable[object]]) -> Preparation:
        revisions = list[int]()

        async def prepare() -> Call:
            if not revisions:
                revisions.append(
                    int(await self._store.redis.call(b"GET", self._store.keys.revision))
                )
                for _ in range(50):
                    claims = await claim(self._store)
                    await self._store.complete([Completion(c, b"x" * 4_000) for c in claims])
            return lambda: call(revisions[0])

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


async def longest_call_ms(store: TaskStore, call: Call) -> float:
    """Of the commands of one step: the one that took longest.

    Only what is no longer short is logged: an entry for each command inside of a script would
    take as long as the script itself.
    """
    await store.redis.call(b"SLOWLOG", b"RESET")
    await call()
    entries = await store.redis.call(b"SLOWLOG", b"GET", b"1000")
    return max([LOGGED_FROM_US, *(int(entry[2]) for entry in entries)]) / 1000


async def longest(store: TaskStore, steps: dict[str, Preparation], *, rounds: int) -> float:
    """Print a line for each step; the longest median."""
    medians = list[float]()
    for name, prepare in steps.items():
        times = sorted([await longest_call_ms(store, await prepare()) for _ in range(rounds)])
        median = statistics.median(times)
        p95 = times[math.ceil(0.95 * rounds) - 1]
        medians.append(median)
        print(
            f"{name:28} {times[0]:5.2f} ms {median:5.2f} ms {p95:6.2f} ms {times[-1]:6.2f} ms",
            flush=True,
        )
    return max(medians)


async def measure(size: Size) -> Figures:
    """Prints all lines; the longest median."""
    rounds = QUICK_ROUNDS if size.quick else ROUNDS
    async with real_store("bench-script-time") as store:
        await fill(store, size.many)
        for name, value in (
            ("slowlog-log-slower-than", str(LOGGED_FROM_US)),
            ("slowlog-max-len", "1000"),
        ):
            await store.redis.call(b"CONFIG", b"SET", name, value)
        steps = Steps(store)
        print(f"{f'one call, {size.many:,} tasks':27} shortest   median       95 %    longest")
        plainly = await longest(store, steps.all(), rounds=rounds)
        await crowd(store)
        print(f"and with {MAX_LINES:,} lines, {MANY_TYPES:,} types, {MANY_WORKERS:,} workers")
        crowded = await longest(store, steps.crowded(), rounds=rounds)
        return {"scripts: longest, ms": max(plainly, crowded)}


if __name__ == "__main__":
    alone(measure)
