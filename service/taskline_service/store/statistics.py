"""How tasks fare, from what lua/stats.lua tells. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import Any

from taskline_service.store.fields import count_of
from taskline_service.store.keys import split_line
from taskline_service.task import ErrorType, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What happened in one span of time; a percentile is None if there is nothing to rank."""

    start_us: int
    width: timedelta
    enqueued: int
    completed: int
    failed: int
    retried: int
    queue_time_p50: timedelta | None
    queue_time_p95: timedelta | None
    run_time_p50: timedelta | None
    run_time_p95: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Tasks now known, counted, and what happened lately, oldest first."""

    # By task type, those that have tasks.
    states: Mapping[str, Mapping[TaskState, int]]
    error_types: Mapping[ErrorType, int]
    history: Sequence[Bucket]


def percentile(bins: Mapping[int, int], part: float, growth: float) -> timedelta | None:
    """The time that this part of all times does not pass: the middle of the bin it falls in.

    Bin n holds the times from growth^n microseconds to growth^(n+1).
    """
    rank = math.ceil(part * sum(bins.values()))
    for number, count in sorted(bins.items()):
        rank -= count
        if rank <= 0:
            return timedelta(microseconds=round(growth ** (number + 0.5)))
    return None


def failed_by_fields(queues: Iterable[str]) -> list[str]:
    """Where failed tasks of these queues are counted: all types of errors, for each queue."""
    return [f"{error_type}:{queue}" for queue in queues for error_type in ErrorType]


def stats_from_replies(replies: Sequence[Mapping[bytes, Any]]) -> Stats:
    """What the script answered, about some lines and some queues in each call.

    Raises:
        ValueError: A count of failed tasks is none.
    """
    states, error_types = dict[str, Counter[TaskState]](), Counter[ErrorType]()
    hashes: dict[int, list[Any]] = {bucket[b"start"]: [] for bucket in replies[0][b"buckets"]}
    for reply in replies:
        for entry in reply[b"lines"]:
            task_type, _ = split_line(entry[b"line"].decode())
            counts = states.setdefault(task_type, Counter())
            counts.update({TaskState(s.decode()): n for s, n in entry[b"counts"].items()})
        for error_type, number in zip(cycle(ErrorType), reply[b"failed_by"]):
            error_types[error_type] += count_of(number or b"0")
        for bucket in reply[b"buckets"]:
            hashes.get(bucket[b"start"], []).extend(bucket[b"hashes"])
    width, growth = timedelta(seconds=replies[0][b"width"]), replies[0][b"growth"]
    return Stats(
        states={name: states[name] for name in sorted(states) if states[name].total()},
        error_types={kind: error_types[kind] for kind in ErrorType if error_types[kind]},
        history=[_bucket(start, of, width, growth) for start, of in hashes.items()],
    )


def _bucket(start: int, hashes: Sequence[Any], width: timedelta, growth: float) -> Bucket:
    happened = Counter[str]()
    for flat in hashes:
        pairs = iter(flat)
        for name, number in zip(pairs, pairs, strict=True):
            if number.isdigit():  # else a stranger's: no task depends on it
                happened[name.decode(errors="replace")] += int(number)
    queue_times, run_times = _bins(happened, "q"), _bins(happened, "r")
    return Bucket(
        start_us=start * 1_000_000,
        width=width,
        enqueued=happened["enqueued"],
        completed=happened["completed"],
        failed=happened["failed"],
        retried=happened["retried"],
        queue_time_p50=percentile(queue_times, 0.5, growth),
        queue_time_p95=percentile(queue_times, 0.95, growth),
        run_time_p50=percentile(run_times, 0.5, growth),
        run_time_p95=percentile(run_times, 0.95, growth),
    )


def _bins(happened: Mapping[str, int], kind: str) -> dict[int, int]:
    """The bins of one kind: names are its letter and the bin's number."""
    return {
        int(name[1:]): number
        for name, number in happened.items()
        if name[0] == kind and name[1:].isdecimal()
    }
