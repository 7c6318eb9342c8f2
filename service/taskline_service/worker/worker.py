"""The claim loop: takes as many tasks as there are free slots, and runs them side by side."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta

from taskline_service import logs
from taskline_service.errors import (
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
    TasklineError,
)
from taskline_service.execution.call import Call
from taskline_service.execution.children import Children
from taskline_service.limits import MAX_RESULT_BYTES
from taskline_service.queue_order import EVERY_QUEUE, QueueChoice
from taskline_service.store import (
    ByPartition,
    Keys,
    RedisAddress,
    Subscription,
    TaskStore,
    WorkerInfo,
    answered_by,
    directory_of,
)
from taskline_service.store.chunks import CLAIMS_PER_CALL
from taskline_service.store.damage import PassedOver
from taskline_service.store.values import Failure, Verdict
from taskline_service.task import Claim, ErrorType
from taskline_service.tasks import TaskRegistry
from taskline_service.worker.asking import Answers, Asking, NoAnswers
from taskline_service.worker.attempt import Attempt, StopReason
from taskline_service.worker.giving_up import end_process
from taskline_service.worker.heartbeat import Heartbeat
from taskline_service.worker.leases import LeaseKeeper
from taskline_service.worker.loop_watch import LoopWatch
from taskline_service.worker.narrator import Narrator
from taskline_service.worker.observer import Observer, Unobserved
from taskline_service.worker.outcomes import Outcome, OutcomeRecorder
from taskline_service.worker.persist import unless_refused
from taskline_service.worker.places import InWorker, Places
from taskline_service.worker.progress import ProgressSender
from taskline_service.worker.reports import ClaimReports
from taskline_service.worker.rounds import ClaimRounds
from taskline_service.worker.slots import Slot, Slots
from taskline_service.worker.story import StorySender
from taskline_service.worker.time_limit import TimeLimit

log = logging.getLogger(__name__)

# Wake-ups are hints: an idle worker also looks by itself, after about a second.
LOOK_EVERY_S = (0.5, 1.5)
_PAUSE_IN_TROUBLE_S = 0.5
# At its end a worker waits no longer for a store that may be gone.
_LAST_CALLS_S = 0.5
# On top of the lease, so that its tasks are lost anyway: when no Python code could run at all.
_STANDSTILL = timedelta(minutes=1)


class Worker:
    """Executes the tasks of a registry, at most `concurrency` at once."""

    def __init__(
        self,
        store: TaskStore,
        address: RedisAddress,
        tasks: TaskRegistry,
        *,
        worker_id: str,
        identity: str = "",
        queues: QueueChoice = EVERY_QUEUE,
        concurrency: int = 16,
        lease: timedelta = timedelta(seconds=30),
        max_result_size: int = MAX_RESULT_BYTES,
        longest_backoff: timedelta | None = None,
        observer: Observer | None = None,
        tasks_at: str | None = None,
        answers: Answers | None = None,
        owns_process: bool = False,
    ) -> None:
        """Prepare to work.

        Args:
            store: Where the tasks are.
            address: The same store, for connections of our own.
            tasks: What it can run; it is never given anything else.
            worker_id: Unique among live workers.
            identity: Host and process, for people.
            queues: Queues to take tasks from, and in which order.
            concurrency: Tasks at once.
            lease: How long the store waits for a sign of life before it gives a task to another.
            max_result_size: Largest result kept, in bytes.
            longest_backoff: Cuts short what task types and tasks say of the time between attempts.
            observer: Traces and measures; by default nobody does.
            tasks_at: MODULE:ATTRIBUTE of `tasks`, for child processes to import. Without it
                there are none, and tasks that were lost run beside others.
            answers: What tasks get that enqueue others; without it they cannot.
            owns_process: Whether it may end this process when a task holds up the event loop
                for good; somebody has to start it again.

        Raises:
            ValueError: A task needs a child process, and there is no `tasks_at`.
        """
        self._store = store
        self._address = address
        self._directory = directory_of(store)
        self._tasks = tasks
        self._task_types = tuple(task.name for task in tasks)
        self._worker_id = worker_id
        self._identity = identity
        self._queues = queues
        self._concurrency = concurrency
        self._answers = answers or NoAnswers()
        self._max_result_size = max_result_size
        self._longest_backoff = longest_backoff
        self._observer = observer or Unobserved()
        self._running: dict[str, Attempt] = {}
        self._awake = asyncio.Event()
        self._slots = Slots(concurrency, on_free=self._awake.set)
        self._passed_over = PassedOver()
        self._stopping = False
        self._started_us = time.time_ns() // 1000
        # Each partition has its own, so that one that is away holds up no other.
        self._progress = ByPartition(map(ProgressSender, store.partitions))
        self._story = ByPartition(map(StorySender, store.partitions))
        self._outcomes = ByPartition(
            OutcomeRecorder(partition, settled=self._observer.settled)
            for partition in store.partitions
        )
        self._children = (
            None if tasks_at is None else Children(tasks_at, trace=self._observer.trace)
        )
        self._places = Places(tasks, self._children)
        self._rounds = ClaimRounds(
            store, worker=worker_id, queues=queues, isolates=self._children is not None
        )
        self._owns_process = owns_process
        self._loop_watch = LoopWatch(
            give_up=self._give_up,
            standstill_limit=(lease + _STANDSTILL).total_seconds() if owns_process else None,
        )
        self._definitions = {task.name: task.info.to_json() for task in tasks}
        self._heartbeat = Heartbeat(self._about, self._definitions)
        self._leases = LeaseKeeper(
            address,
            [partition.keys for partition in store.partitions],
            lease=lease,
            beside=self._heartbeat.run,
            on_verdict=self._on_verdict,
            on_overdue=self._on_overdue,
        )
        self._hints = [self._hints_of(partition.keys) for partition in store.partitions]

    @property
    def running(self) -> int:
        """How many tasks it runs now."""
        return len(self._running)

    async def run(self) -> None:
        """Work until stop() is called, and until what runs then has ended."""
        if not await self._publish_types():
            return
        log.info("worker %s: ready", self._worker_id)
        self._leases.start()
        self._loop_watch.start()
        try:
            async with asyncio.TaskGroup() as helpers:
                loops = (*self._progress, *self._story, *self._outcomes, *self._hints)
                background = [helpers.create_task(loop.run()) for loop in loops]
                async with asyncio.TaskGroup() as attempts:
                    await self._claim_until_stopped(attempts)
                for helper in background:
                    helper.cancel()
        finally:
            self._loop_watch.stop()
            self._leases.stop()
            if self._children is not None:
                await self._children.close()
        with contextlib.suppress(TasklineError), self._last_calls():
            await self._heartbeat.leave(self._directory)

    def stop(self) -> None:
        """Claim no more; `run` returns when what runs has ended."""
        self._stopping = True
        self._awake.set()

    def release_all(self) -> None:
        """Interrupt what still runs, and give it back to its queue."""
        for attempt in self._running.values():
            attempt.stop(StopReason.SHUTDOWN)

    async def abandon(self) -> int:
        """Give back what does not stop although it was interrupted: its process ends now.

        Returns how many tasks are left to their leases because the store does not answer.
        """
        claims = [attempt.claim for attempt in self._running.values()]
        try:
            with self._last_calls():
                await self._store.release(claims)
        except TasklineError as error:
            log.error("tasks could not be given back: %s", error)
            return len(claims)
        return 0

    def _last_calls(self) -> AbstractContextManager[None]:
        return answered_by(asyncio.get_running_loop().time() + _LAST_CALLS_S)

    async def _publish_types(self) -> bool:
        """Make known what it can run; False if stop() comes first."""
        told = False
        while not self._stopping:
            try:
                await self._directory.register_types(self._definitions)
                return True
            except (StoreUnavailable, StoreFull, StoreDamaged) as error:
                log.log(logging.DEBUG if told else logging.WARNING, "task types: %s", error)
                told = True
                await self._sleep(_PAUSE_IN_TROUBLE_S)
        return False

    # Claiming

    async def _claim_until_stopped(self, attempts: asyncio.TaskGroup) -> None:
        told, look_at = False, 0.0
        while not self._stopping:
            self._awake.clear()
            held_back = self._slots.held_back
            types = [name for name in self._task_types if name not in held_back]
            if self._slots.room <= 0 or not types:
                await self._awake.wait()
                continue
            until_look = look_at - time.monotonic()
            if until_look > 0 and not self._rounds.promising(types):
                await self._sleep(until_look)
                continue
            wanted = min(self._slots.room, CLAIMS_PER_CALL)
            # At once: what waits now, and goes on meanwhile, must not take them too.
            self._slots.take(wanted)
            claims: list[Claim] = []
            try:
                claims = await self._claim(types, wanted)
            except TasklineError as error:  # whatever it is, it may pass
                if not told:
                    log.warning("no tasks for now: %s", error)
                told = True
                await self._sleep(_PAUSE_IN_TROUBLE_S)
                continue
            finally:
                self._slots.take(len(claims) - wanted)
            if told:
                log.info("tasks come again: the store answers")
                told = False
            for claim in claims:
                self._start(claim, attempts)
            look_at = time.monotonic() + random.uniform(*LOOK_EVERY_S)

    async def _claim(self, task_types: Sequence[str], count: int) -> list[Claim]:
        asked_at = time.monotonic()
        claims, dangling = await self._rounds.claim(
            task_types, count=count, lease=self._leases.first_lease
        )
        for task_id in dangling:
            self._store.damage.found(f"task {task_id}", "it waited, but its record is no such task")
        if claims:
            self._observer.received(claims, time.monotonic() - asked_at)
        self._leases.hold(claims, asked_at)
        return claims

    async def _sleep(self, seconds: float) -> None:
        """Wait for a hint, a free slot or stop(); at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awake.wait()

    def _hints_of(self, keys: Keys) -> Subscription:
        async def look() -> None:
            self._look(keys.partition)

        def on_hint(channel: bytes, data: bytes) -> None:
            if channel == keys.cancel_channel:
                self._on_cancel(data)
            else:
                self._look(keys.partition)

        return Subscription(
            self._address,
            [keys.wake_channel, keys.cancel_channel],
            on_message=on_hint,
            on_subscribed=look,
            name="taskline-hints",
        )

    def _look(self, partition: int) -> None:
        """Something may wait there."""
        self._rounds.hint(partition)
        if self._slots.free > 0:
            self._awake.set()

    def _on_cancel(self, data: bytes) -> None:
        try:
            attempt = self._running.get(data.decode())
        except UnicodeDecodeError as error:
            self._passed_over.found("the channel of cancellations", error)
            return
        if attempt is not None:
            attempt.stop(StopReason.CANCEL)

    # Running

    def _start(self, claim: Claim, attempts: asyncio.TaskGroup) -> None:
        definition = self._tasks[claim.spec.task_type]
        limit = TimeLimit(claim.spec.execution_timeout or definition.execution_timeout)
        call = Call(
            task_id=claim.task_id,
            task_type=claim.spec.task_type,
            attempt=claim.attempt,
            worker=self._worker_id,
            labels=claim.spec.labels,
            input=claim.spec.input,
            max_result_size=self._max_result_size,
        )
        place = self._places.place_of(claim)
        in_process = not isinstance(place, InWorker)
        slot = Slot(self._slots, claim.spec.task_type, in_process=in_process)
        asking = Asking(self._answers, slot, self._observer.trace)
        narrator = Narrator(claim, self._worker_id, lambda: definition.in_words(None))
        reports = ClaimReports(
            claim,
            limit,
            narrator,
            progress=self._progress.of(claim.task_id),
            story=self._story.of(claim.task_id),
            asking=asking,
        )
        attempt = Attempt(claim, place, call, reports, limit, longest_backoff=self._longest_backoff)
        self._running[claim.task_id] = attempt
        execution = self._execute(attempt, narrator, asking)
        attempts.create_task(execution, name=f"attempt-{claim.task_id}")

    async def _execute(self, attempt: Attempt, narrator: Narrator, asking: Asking) -> None:
        claim = attempt.claim
        try:
            with self._observer.attempt(claim) as observer:
                narrator.belongs_to(observer.trace_id)
                # For good: this asyncio task has a context of its own.
                logs.bind(narrator.about)
                outcome = await attempt.run()
                observer.ended(outcome)
            narrator.ended()
            await self._story.of(claim.task_id).finish(claim)
            await self._progress.of(claim.task_id).finish(claim)
            if outcome is not None:
                verdict = await self._outcomes.of(claim.task_id).record(outcome)
                narrator.recorded(outcome, verdict)
                self._count(outcome, verdict)
            elif attempt.stop_reason in (StopReason.SHUTDOWN, StopReason.OVERDUE):
                await self._give_back(claim)
                narrator.given_back()
        finally:
            asking.end()
            self._leases.drop(claim)
            del self._running[claim.task_id]
            self._awake.set()

    async def _give_back(self, claim: Claim) -> None:
        what = f"task {claim.task_id}"
        while True:
            verdicts = await unless_refused(lambda: self._store.release([claim]), what)
            if verdicts != [Verdict.DAMAGED]:  # refused, its lease runs out
                return
            await asyncio.sleep(_PAUSE_IN_TROUBLE_S)  # until it is mended

    def _count(self, outcome: Outcome, verdict: Verdict) -> None:
        """Tell of the end of a task."""
        if verdict is Verdict.LOST:
            return
        if not isinstance(outcome, Failure):
            self._observer.completed(outcome.claim)
        elif outcome.error.error_type is not ErrorType.CANCELLED and (
            outcome.retry_delay is None or verdict is Verdict.GIVEN_UP
        ):
            self._observer.failed(outcome)

    def _on_verdict(self, claim: Claim, verdict: Verdict) -> None:
        """From the thread of the lease keeper."""
        attempt = self._running.get(claim.task_id)
        if attempt is None or attempt.claim is not claim:
            return
        if verdict is Verdict.LOST:
            log.warning(
                "task %s: attempt %d lost its lease",
                *(claim.task_id, claim.attempt),
                extra=attempt.about,
            )
            attempt.stop(StopReason.LOST)
        else:
            attempt.stop(StopReason.CANCEL)

    def _on_overdue(self, claim: Claim) -> None:
        attempt = self._running.get(claim.task_id)
        if attempt is not None and attempt.claim is claim:
            log.warning(
                "task %s: attempt %d is stopped: its lease could not be renewed in time",
                *(claim.task_id, claim.attempt),
                extra=attempt.about,
            )
            attempt.stop(StopReason.OVERDUE)

    def end_process(self) -> None:
        """Give back what runs, and end: for a thread, when the event loop does not go on."""
        log.error("the event loop is held up, and the grace is over")
        claims = [attempt.claim for attempt in list(self._running.values())]
        end_process(None, claims, address=self._address, store=self._store, exit_code=0)

    def _give_up(self, culprit: Attempt) -> None:
        """From the thread of the loop's watch: nothing here will run again."""
        claim = culprit.claim
        log.error(
            "task %s: attempt %d holds up the event loop, and cannot be stopped",
            *(claim.task_id, claim.attempt),
            extra=culprit.about,
        )
        if self._owns_process:
            others = [each.claim for each in self._running.values() if each is not culprit]
            outcome = culprit.stopped(unstoppable=True)
            end_process(outcome, others, address=self._address, store=self._store)

    def _about(self) -> WorkerInfo:
        """What it does now; in any thread."""
        return WorkerInfo(
            id=self._worker_id,
            identity=self._identity,
            queues=self._queues.names,
            task_types=self._task_types,
            concurrency=self._concurrency,
            running_task_ids=tuple(self._running),
            start_us=self._started_us,
            draining=self._stopping,
        )
