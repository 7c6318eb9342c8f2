"""Whatever is done to tasks, in whatever order: the store does what the reference says.

`--hypothesis-profile=thorough` looks for much longer, and at other cases each time.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from taskline_service.queue_order import QueueChoice, QueueOrder
from taskline_service.store import TaskStore, parse_redis_url
from taskline_service.store.values import (
    Completion,
    Conflict,
    Failure,
    ListQuery,
    LogLine,
    NewTask,
    Output,
)
from taskline_service.task import TERMINAL_STATES, Claim, Progress, TaskState
from tests.census import remove_keys
from tests.model.world import ComparedRedis, World, scripts_get_the_time
from tests.store.making import BROKEN, LONG_RESULT, LOST, new_task

NAMES = ("t0", "t1", "t2", "t:3")
IDS = st.sampled_from(NAMES)
FEW_IDS = st.lists(IDS, min_size=1, max_size=2)
TYPES, QUEUES = ("a", "b"), ("q", "q:2")
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
SPANS = st.sampled_from([timedelta(0), SECOND, HOUR])
COUNTS = st.sampled_from([1, 100])
STATES = st.sets(st.sampled_from(sorted(TaskState)), min_size=1)

SETTINGS = settings(
    max_examples=3 * settings().max_examples // 2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def new_tasks(ids: st.SearchStrategy[str]) -> st.SearchStrategy[NewTask]:
    """Tasks with these ids, of every kind."""
    return st.builds(
        new_task,
        ids,
        task_type=st.sampled_from(TYPES),
        queue=st.sampled_from(QUEUES),
        delay=st.sampled_from([None, None, None, HOUR, SECOND]),
        on_conflict=st.sampled_from(Conflict),
        priority=st.sampled_from([0, 0, 1, 9]),
        labels=st.sampled_from([{}, {"env": "prod"}, {"env": "test", "a=b": ""}]),
        queue_timeout=st.sampled_from([None, None, 20 * SECOND]),
        result_ttl=st.sampled_from([None, timedelta(0), timedelta(days=30)]),
        request_id=st.sampled_from(["", "", "r1", "r2"]),
        digest=st.sampled_from([b"one", b"two"]),
    )


def _id_of(new: NewTask) -> str:
    return new.spec.id


def _some(*states: TaskState) -> Callable[["Moves"], bool]:
    """Whether there is a task in one of these states: what could do nothing is not tried."""
    return lambda self: any(t.state in states for t in self.world.reference.tasks.values())


class Moves(RuleBasedStateMachine):
    """Every move, and the repetition of any of them, in any order."""

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], redis: ComparedRedis):
        super().__init__()
        self.run, self.world = run, World.fresh(redis)

    @property
    def store(self) -> TaskStore:
        return self.world.store

    @invariant()
    def the_store_holds_what_the_reference_says(self) -> None:
        self.run(self.world.check())

    def teardown(self) -> None:
        try:
            self._look()
            self.run(self.world.check_with_fsck())
        finally:
            self.run(remove_keys(self.world.redis, self.world.keys))

    def _look(self) -> None:
        tasks = self.world.reference.tasks
        page = self.run(self.store.list(ListQuery(), count=100))
        stats = self.run(self.store.stats(window=HOUR))
        queues = self.run(self.world.directory.queues(count=100))

        assert {task.id: task.state for task in page.tasks} == {
            task_id: task.state for task_id, task in tasks.items()
        }
        assert page.total == len(tasks)
        assert sum(sum(counts.values()) for counts in stats.states.values()) == len(tasks)
        for queue in queues:
            waiting = [t for t in tasks.values() if (t.queue, t.state) == (queue.name, "QUEUED")]
            assert queue.queued == len(waiting)

    # Accepting tasks

    @initialize(tasks=st.tuples(*(new_tasks(st.just(name)) for name in NAMES)))
    def begin(self, tasks: tuple[NewTask, ...]) -> None:
        self.run(self.store.enqueue(tasks, partial=True))

    @rule(
        tasks=st.lists(new_tasks(IDS), min_size=1, max_size=3, unique_by=_id_of),
        partial=st.booleans(),
        checked_first=st.booleans(),
        most=st.sampled_from([0, 0, 3]),
        most_lines=st.sampled_from([100, 100, 2]),
    )
    def enqueue(
        self,
        tasks: list[NewTask],
        partial: bool,
        checked_first: bool,
        most: int,
        most_lines: int,
    ) -> None:
        store = self.store
        store.max_queued, store.max_lines = most, most_lines
        if checked_first:
            self.run(store.check(tasks))
        self.run(store.enqueue(tasks, partial=partial))

    # What workers do, also those whose claim is long lost

    @precondition(_some(TaskState.QUEUED))
    @rule(
        target=claims,
        types=st.sampled_from([TYPES, TYPES, TYPES, TYPES[:1]]),
        queues=st.sampled_from([(), (), (), QUEUES, QUEUES[::-1], QUEUES[1:]]),
        order=st.sampled_from([QueueOrder.URGENCY, QueueOrder.STRICT]),
        count=st.integers(1, 4),
        lease=SPANS,
        isolates=st.booleans(),
    )
    def claim(
        self,
        *,
        types: tuple[str, ...],
        queues: tuple[str, ...],
        order: QueueOrder,
        count: int,
        lease: timedelta,
        isolates: bool,
    ) -> MultipleResults[Claim]:
        choice = QueueChoice(dict.fromkeys(queues, 1), order)
        claims, *_ = self.run(
            self.store.claim(
                types, count=count, worker="w", lease=lease, queues=choice, isolates=isolates
            )
        )
        return multiple(*claims)

    @rule(claim=claims, lease=SPANS)
    def renew(self, claim: Claim, lease: timedelta) -> None:
        self.run(self.store.renew([claim], lease=lease))

    @rule(claim=claims)
    def report_progress(self, claim: Claim) -> None:
        self.run(self.store.report_progress([(claim, Progress(current=1, total=2))]))

    @rule(claim=claims, number=st.integers(1, 3), output=st.booleans())
    def append(self, claim: Claim, number: int, output: bool) -> None:
        entry = Output(claim, number, b"[]") if output else LogLine(claim, number, "said", None)
        self.run(self.store.append([entry]))

    @rule(claim=claims, other=claims, result=st.sampled_from([b'"done"', LONG_RESULT]))
    def complete(self, claim: Claim, other: Claim, result: bytes) -> None:
        self.run(self.store.complete([Completion(held, result) for held in (claim, other)]))

    @rule(claim=claims, other=claims, delay=st.none() | SPANS, unstoppable=st.booleans())
    def fail(self, claim: Claim, other: Claim, delay: timedelta | None, unstoppable: bool) -> None:
        failures = [Failure(held, BROKEN, delay, unstoppable) for held in (claim, other)]
        self.run(self.store.fail(failures))

    @rule(claim=claims, delay=SPANS)
    def lose_its_process(self, claim: Claim, delay: timedelta) -> None:
        self.run(self.store.fail([Failure(claim, LOST, delay)]))

    @rule(claim=claims, other=claims)
    def release(self, claim: Claim, other: Claim) -> None:
        self.run(self.store.release([claim, other]))

    # What users and operators do

    @precondition(_some(*set(TaskState) - TERMINAL_STATES))
    @rule(ids=FEW_IDS, states=STATES)
    def cancel(self, ids: list[str], states: set[TaskState]) -> None:
        self.run(self.store.cancel_many(ids, states=sorted(states)))

    @precondition(_some(*TERMINAL_STATES))
    @rule(ids=FEW_IDS, states=STATES)
    def retry(self, ids: list[str], states: set[TaskState]) -> None:
        self.run(self.store.retry_many(ids, states=sorted(states & TERMINAL_STATES)))

    @precondition(_some(*TERMINAL_STATES))
    @rule(ids=FEW_IDS, states=STATES)
    def delete(self, ids: list[str], states: set[TaskState]) -> None:
        self.run(self.store.delete_many(ids, states=sorted(states & TERMINAL_STATES)))

    @precondition(_some(TaskState.QUEUED))
    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        directory = self.world.directory
        self.run(directory.pause(queue) if paused else directory.resume(queue))

    # Time, and what is done when it has come

    @rule(seconds=st.sampled_from([1, 31, 3601, 86_401, 8 * 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds * SECOND)

    @precondition(_some(TaskState.SCHEDULED, TaskState.RETRYING))
    @rule(count=COUNTS)
    def promote(self, count: int) -> None:
        self.run(self.store.promote(count))

    @precondition(_some(TaskState.QUEUED))
    @rule(count=COUNTS)
    def queue_timeout(self, count: int) -> None:
        self.run(self.store.queue_timeout(count))

    @precondition(_some(TaskState.RUNNING))
    @rule(count=COUNTS, delay=SPANS)
    def reclaim(self, count: int, delay: timedelta) -> None:
        self.run(self.store.reclaim(count, retry_delay=delay))

    @precondition(_some(*TERMINAL_STATES))
    @rule(count=COUNTS)
    def expire(self, count: int) -> None:
        self.run(self.store.expire(count))

    # What goes wrong on the way

    @precondition(lambda self: self.world.redis.calls)
    @rule(ago=st.integers(0, 1000))
    def an_earlier_call_is_made_again(self, ago: int) -> None:
        calls = self.world.redis.calls
        self.run(self.world.replay(calls[-1 - ago % len(calls)]))

    @rule()
    def the_scripts_are_forgotten(self) -> None:
        self.run(self.world.redis.call(b"SCRIPT", b"FLUSH"))


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine on a loop that stays the same for all of a test."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.mark.timeout(3600)
def test_the_store_does_what_the_reference_says(
    redis_url: str,
    run: Callable[[Coroutine[Any, Any, Any]], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts_get_the_time(monkeypatch)
    redis = ComparedRedis(parse_redis_url(redis_url))
    try:
        machine: Any = lambda: Moves(run, redis)  # noqa: E731  # it takes a factory as well
        run_state_machine_as_test(machine, settings=SETTINGS)
    finally:
        run(redis.close())
