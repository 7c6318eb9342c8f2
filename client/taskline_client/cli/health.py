"""What is well with a deployment and what is not, and how to mend it. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from taskline_client.cli.deployment import WINDOW, Look
from taskline_client.cli.text import counted, share_text, span_text
from taskline_client.deployment import Queue
from taskline_client.errors import Unavailable
from taskline_client.types import TaskState

_OLDEST_STORE = {"redis": (6, 2), "valkey": (7, 2)}
_SLOW_STORE, _TOO_SLOW_STORE = timedelta(milliseconds=5), timedelta(milliseconds=50)
_SLOW_ANSWER = timedelta(milliseconds=250)
_OFF_CLOCK, _TOO_FAR_OFF_CLOCK = timedelta(seconds=1), timedelta(seconds=30)
_LAG, _TOO_MUCH_LAG = timedelta(seconds=30), timedelta(minutes=5)
_LOW_SUCCESS_RATE = 0.9
_MOST_NAMED = 5


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check."""

    check: str
    level: Level
    found: str
    # How to mend it; empty if there is nothing to mend.
    fix: str = ""


def examine(seen: Look, *, client_version: str) -> Iterator[Finding]:
    """Every check, in the order in which one would look."""
    yield _server(seen, client_version)
    yield _store_version(seen)
    yield _persistence(seen)
    yield _eviction(seen)
    yield _store_writes(seen)
    yield _store_latency(seen)
    yield _round_trip(seen)
    yield _clock(seen)
    yield _workers(seen)
    yield _lag(seen)
    yield _paused(seen)
    yield _full(seen)
    yield _unserved_queues(seen)
    yield _unserved_types(seen)
    yield _orphans(seen)
    yield _success(seen)


def no_server(error: Unavailable) -> Iterator[Finding]:
    """The one check of a deployment that does not answer."""
    yield _graded(
        "server",
        str(error),
        "if none runs there, start one: taskline serve --tasks MODULE:ATTRIBUTE; "
        "if one does, look at --address (or TASKLINE_ADDRESS), at the server's --listen, "
        "and at the network between",
        warn=False,
        fail=True,
    )


def no_store(address: str, error: Unavailable) -> Iterator[Finding]:
    """The checks of a server that answers, and says that its store does not."""
    yield _ok("server", f"answers at {address}")
    yield _graded(
        "store",
        str(error),
        "start the store, or look at the server's --redis-url and its log; "
        "the server goes on by itself when the store is back",
        warn=False,
        fail=True,
    )


def _ok(check: str, found: str) -> Finding:
    return Finding(check=check, level=Level.OK, found=found)


def _graded(check: str, found: str, fix: str, *, warn: bool, fail: bool) -> Finding:
    if not (warn or fail):
        return _ok(check, found)
    level = Level.FAILED if fail else Level.WARNING
    return Finding(check=check, level=level, found=found, fix=fix)


def _server(seen: Look, client_version: str) -> Finding:
    info = seen.info
    up = ""
    if info.start_time and info.store_time:
        up = f", up for {span_text(max(info.store_time - info.start_time, timedelta()))}"
    return _graded(
        "server",
        f"version {info.version}, namespace {info.namespace}{up}",
        f"this is version {client_version}: install the same on both sides",
        warn=info.version != client_version,
        fail=False,
    )


def _store_version(seen: Look) -> Finding:
    text = seen.info.store_version
    parts = re.match(r"(\w+) (\d+)\.(\d+)", text)
    oldest = _OLDEST_STORE.get(parts[1]) if parts else None
    if not parts or oldest is None:
        return _graded(
            "store_version", text or "unknown", "use Redis or Valkey", warn=True, fail=False
        )
    return _graded(
        "store_version",
        text,
        "upgrade to Redis 6.2 or Valkey 7.2, or newer",
        warn=False,
        fail=(int(parts[2]), int(parts[3])) < oldest,
    )


def _persistence(seen: Look) -> Finding:
    kind = seen.info.store_persistence
    told = {
        "always": "every write is on disk before it is answered",
        "everysec": "a power cut may lose the last second",
        "no": "the system decides when to write: a power cut may lose half a minute",
        "off": "no append-only file: a restart of the store may lose tasks",
    }
    return _graded(
        "store_persistence",
        f"{kind or 'unknown'}: {told.get(kind, 'not known what it means')}",
        "in the store: CONFIG SET appendonly yes, CONFIG SET appendfsync everysec; "
        "and the same in its configuration file",
        warn=kind not in ("always", "everysec"),
        fail=kind in ("", "off"),
    )


def _eviction(seen: Look) -> Finding:
    policy = seen.info.store_eviction_policy
    safe = policy == "noeviction"
    return _graded(
        "store_eviction_policy",
        policy if safe else f"{policy or 'unknown'}: the store may drop tasks to save memory",
        "in the store: CONFIG SET maxmemory-policy noeviction; and in its configuration file",
        warn=False,
        fail=not safe,
    )


def _store_writes(seen: Look) -> Finding:
    refusal = seen.info.store_refusal
    return _graded(
        "store_writes",
        f"no new tasks are taken: {refusal}" if refusal else "the store takes new tasks",
        "give the store what it lacks: memory (maxmemory), room on its disk (MISCONF), or its "
        "role as the one that is written to (READONLY); Taskline goes on by itself then",
        warn=False,
        fail=bool(refusal),
    )


def _store_latency(seen: Look) -> Finding:
    latency = seen.info.store_latency or timedelta()
    return _graded(
        "store_latency",
        f"{span_text(latency)} from the server to the store and back",
        "put them close together; look for slow commands of others: SLOWLOG GET",
        warn=latency >= _SLOW_STORE,
        fail=latency >= _TOO_SLOW_STORE,
    )


def _round_trip(seen: Look) -> Finding:
    return _graded(
        "round_trip",
        f"{span_text(seen.round_trip)} from here to the server and back",
        "the network is slow, or the server is busy: look at its processor time",
        warn=seen.round_trip >= _SLOW_ANSWER,
        fail=False,
    )


def _clock(seen: Look) -> Finding:
    if seen.info.store_time is None:
        return _graded("clock", "the store tells no time", "", warn=True, fail=False)
    off = abs(seen.info.store_time - seen.asked_at)
    # Half of the round trip is not known to belong to one way or the other.
    off = max(off - seen.round_trip / 2, timedelta())
    return _graded(
        "clock",
        f"the store's and this machine's differ by {span_text(off)}",
        "synchronize both by NTP: schedule_time and deadlines come late or early",
        warn=off >= _OFF_CLOCK,
        fail=off >= _TOO_FAR_OFF_CLOCK,
    )


def _workers(seen: Look) -> Finding:
    working = [worker for worker in seen.workers if not worker.draining]
    slots = sum(worker.concurrency for worker in working)
    busy = sum(len(worker.running_task_ids) for worker in seen.workers)
    draining = len(seen.workers) - len(working)
    waiting = sum(queue.queued_count for queue in seen.queues)
    return _graded(
        "workers",
        f"{counted(len(working), 'worker')} for {counted(slots, 'task')} at once, {busy} running"
        + (f", {draining} draining" if draining else ""),
        "start one: taskline worker --tasks MODULE:ATTRIBUTE",
        warn=not working,
        fail=not working and waiting > 0,
    )


def _lag(seen: Look) -> Finding:
    lags = [(queue.oldest_age or timedelta(), queue.name) for queue in _open(seen)]
    lag, name = max(lags, default=(timedelta(), ""))
    where = f" on queue {name}" if lag else ""
    return _graded(
        "lag",
        f"the first waiting task has been due for {span_text(lag)}{where}",
        "start more workers, or give them a higher --concurrency; see taskline top",
        warn=lag >= _LAG,
        fail=lag >= _TOO_MUCH_LAG,
    )


def _paused(seen: Look) -> Finding:
    names = [queue.name for queue in seen.queues if queue.paused]
    return _graded(
        "paused",
        f"queues: {_named(names)}" if names else "no queue is paused",
        f"when it is time: taskline queues resume {' '.join(names[:_MOST_NAMED])}",
        warn=bool(names),
        fail=False,
    )


def _full(seen: Look) -> Finding:
    names = [q.name for q in seen.queues if q.max_queued and q.queued_count >= q.max_queued]
    return _graded(
        "full",
        f"take no more tasks: {_named(names)}" if names else "no queue is full",
        "start more workers, or serve with a higher --max-queued",
        warn=False,
        fail=bool(names),
    )


def _unserved_queues(seen: Look) -> Finding:
    """Queues with waiting tasks that no worker takes from."""
    taking = [worker for worker in seen.workers if not worker.draining]
    names = [
        queue.name
        for queue in _open(seen)
        if queue.queued_count
        and not any(not worker.queues or queue.name in worker.queues for worker in taking)
    ]
    return _graded(
        "unserved_queues",
        f"tasks wait, and no worker takes from: {_named(names)}" if names else "none",
        f"start a worker for them: taskline worker --queues {','.join(names[:_MOST_NAMED])}",
        warn=False,
        fail=bool(names),
    )


def _unserved_types(seen: Look) -> Finding:
    """Types with waiting tasks that no worker can run."""
    known = {name for worker in seen.workers for name in worker.task_types}
    names = [
        one.task_type
        for one in seen.stats.task_types
        if one.states.get(TaskState.QUEUED) and one.task_type not in known
    ]
    return _graded(
        "unserved_types",
        f"tasks wait, and no worker can run: {_named(names)}" if names else "none",
        "start a worker that has them: taskline worker --tasks MODULE:ATTRIBUTE",
        warn=False,
        fail=bool(names),
    )


def _orphans(seen: Look) -> Finding:
    alive = {worker.id for worker in seen.workers}
    names = [task.id for task in seen.running if task.worker not in alive]
    return _graded(
        "orphans",
        f"{counted(len(names), 'task')} of workers that are gone: {_named(names)}"
        if names
        else "no running task has lost its worker",
        "they are handed out again when their lease is over; if they stay: taskline fsck",
        warn=False,
        fail=bool(names),
    )


def _success(seen: Look) -> Finding:
    completed = sum(bucket.completed for bucket in seen.stats.history)
    failed = sum(bucket.failed for bucket in seen.stats.history)
    rate = completed / (completed + failed) if completed + failed else 1.0
    over = f"in the last {span_text(WINDOW)}"
    return _graded(
        "success_rate",
        f"{share_text(rate)} of {counted(completed + failed, 'task')} {over}"
        if completed + failed
        else f"no task ended {over}",
        "see why: taskline list --state failed; then: taskline retry --dry-run --min-end-time 1h",
        warn=rate < _LOW_SUCCESS_RATE,
        fail=False,
    )


def _open(seen: Look) -> list[Queue]:
    return [queue for queue in seen.queues if not queue.paused]


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"
