"""What became of every task, from the ledgers and from the store itself."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from taskline_service.fsck import check_store
from taskline_service.store import Redis, TaskStore
from taskline_service.store.changes import Message
from taskline_service.store.values import ListQuery
from taskline_service.task import ErrorType, Task, TaskState
from tests.chaos.clients import Ledger
from tests.chaos.tasks import executions

_PAGE = 1000
_LIVE = [state for state in TaskState if not state.terminal]


@dataclass(slots=True)
class Verdict:
    """The figures of the report."""

    accepted: int
    ended: int = 0
    states: Counter[str] = field(default_factory=Counter)
    # Accepted, and gone or never ended.
    lost: list[str] = field(default_factory=list)
    # Ended more than once without having been put back.
    twice: list[str] = field(default_factory=list)
    # Whether the store still had the whole log to count the ends in.
    log_whole: bool = True
    executed_again: int = 0
    worker_lost: int = 0
    offences: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether everything is as promised."""
        wrong = self.lost or self.twice or self.offences or self.defects
        return not wrong and self.log_whole and self.ended == self.accepted


async def quiescence(store: TaskStore, *, within_s: float) -> None:
    """Wait until every task has ended; gives up after a while, which the verdict then shows."""
    try:
        async with asyncio.timeout(within_s):
            while (await store.list(ListQuery(states=_LIVE), count=1)).tasks:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    except TimeoutError:
        return


async def judge(store: TaskStore, ledger: Ledger, executed: Path) -> Verdict:
    """Look at everything, once nothing moves any more."""
    verdict = Verdict(accepted=len(ledger.accepted), defects=list(ledger.defects))
    for name, count in (("waiter", ledger.waiting), ("watcher", ledger.watching)):
        if count:
            verdict.defects.append(f"{count} of those who are a {name} never heard of the end")
    tasks = {task.id: task async for task in _all_tasks(store)}
    attempts = executions(executed)
    for task_id, (number, task_type) in ledger.accepted.items():
        task = tasks.get(task_id)
        if task is None or not task.state.terminal:
            verdict.lost.append(task_id)
            continue
        verdict.ended += 1
        verdict.states[task.state.value] += 1
        verdict.executed_again += len(attempts.get(task_id, ())) > 1
        verdict.defects += _wrong(task, task_type, cancelled=task_id in ledger.cancelled)
        if task.error and task.error.error_type is ErrorType.WORKER_LOST:
            verdict.worker_lost += task_type != "chaos.pill"
        told = ledger.told.get(task_id, task.state.value)
        if told != task.state.value:
            verdict.defects.append(f"{task_id} is {task.state}, and somebody was told {told}")
        if task.state is TaskState.COMPLETED:
            done = attempts.get(task_id, set())
            verdict.defects += await _wrong_result(store, task, number, done)
    strangers = tasks.keys() - ledger.accepted.keys()
    verdict.defects += [f"{task_id} is there, and nobody was told" for task_id in strangers]
    await _count_ends(store, verdict)
    report = await check_store(store.redis, store.keys)
    verdict.offences = [str(offence) for offence in report.offences]
    return verdict


async def _all_tasks(store: TaskStore) -> AsyncIterator[Task]:
    query = ListQuery(newest_first=False)
    while True:
        page = await store.list(query, count=_PAGE)
        for task in page.tasks:
            yield task
        if page.after is None:
            return
        query = replace(query, after=page.after)


def _wrong(task: Task, task_type: str, *, cancelled: bool) -> list[str]:
    """What must not be, given what the task does."""
    kind = task.error.error_type if task.error else None
    if task.state is TaskState.CANCELLED:
        return [] if cancelled else [f"{task.id} is CANCELLED, and nobody asked for it"]
    if task_type == "chaos.pill":
        fine = task.state is TaskState.FAILED and kind is ErrorType.WORKER_LOST
    elif task_type == "chaos.failing":
        fine = task.state is TaskState.FAILED and kind in (ErrorType.RUNTIME, ErrorType.WORKER_LOST)
    else:
        fine = task.state is TaskState.COMPLETED or kind is ErrorType.WORKER_LOST
    return [] if fine else [f"{task.id} is {task.state} ({kind})"]


async def _wrong_result(store: TaskStore, task: Task, number: int, attempts: set[int]) -> list[str]:
    _, result = await store.get_outcome(task.id)
    if result is None:
        return [f"{task.id} is COMPLETED without a result"]
    value: dict[str, Any] = json.loads(result)
    wrong = list[str]()
    if value["number"] != number:
        wrong.append(f"{task.id} has the result of number {value['number']}")
    if value["attempt"] != task.attempts:
        wrong.append(f"{task.id} ended in attempt {task.attempts} by attempt {value['attempt']}")
    if value["attempt"] not in attempts:
        wrong.append(f"{task.id} has a result of an attempt that never came to its end")
    return wrong


async def _count_ends(store: TaskStore, verdict: Verdict) -> None:
    """Every end that was ever recorded is an event of the log."""
    ends, last = Counter[str](), 0
    async for revision, events in _log(store.redis, store.keys.log):
        verdict.log_whole = verdict.log_whole and revision == last + 1
        last = revision
        ends.update(e[b"id"].decode() for e in events if e[b"kind"] == b"ended")
    verdict.twice = [task_id for task_id, count in ends.items() if count > 1]


async def _log(redis: Redis, log: bytes) -> AsyncIterator[tuple[int, list[dict[bytes, Any]]]]:
    start = b"-"
    while entries := await redis.call(b"XRANGE", log, start, b"+", b"COUNT", b"500"):
        for _, fields in entries:
            message = Message.of(fields[1])
            yield message.revision, [event for _, event in message.events or ()]
        start = b"(" + entries[-1][0]
