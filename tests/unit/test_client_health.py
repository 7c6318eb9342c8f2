"""What `doctor` finds: each check passes on a healthy deployment, and fails for one reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskline_client import Queue, ServerInfo, Stats, Task, TaskState, TaskTypeStats, Worker
from taskline_client.cli.deployment import Look
from taskline_client.cli.health import Level, examine
from taskline_client.statistics import HistoryBucket

NOW = datetime(2026, 1, 31, 10, tzinfo=UTC)
HEALTHY = Look(
    info=ServerInfo(
        version="1.0",
        namespace="default",
        start_time=NOW - timedelta(hours=1),
        store_time=NOW,
        store_version="valkey 9.1.2",
        store_persistence="everysec",
        store_eviction_policy="noeviction",
        store_latency=timedelta(milliseconds=1),
    ),
    asked_at=NOW,
    round_trip=timedelta(milliseconds=2),
    queues=[Queue(name="text", queued_count=3, oldest_age=timedelta(seconds=1))],
    workers=[Worker(id="w", task_types=("text.count",), concurrency=10, running_task_ids=("t",))],
    stats=Stats(
        task_types=(TaskTypeStats(task_type="text.count", states={TaskState.QUEUED: 3}),),
        history=(HistoryBucket(start_time=NOW, completed=99, failed=1),),
    ),
    running=[
        Task(
            id="t",
            uid="u",
            task_type="text.count",
            queue="text",
            state=TaskState.RUNNING,
            worker="w",
        )
    ],
)
MINUTE = timedelta(minutes=1)


def info(**changes: Any) -> dict[str, Any]:
    return {"info": replace(HEALTHY.info, **changes)}


def queue(**changes: Any) -> dict[str, Any]:
    return {"queues": [replace(HEALTHY.queues[0], **changes)]}


def worker(**changes: Any) -> dict[str, Any]:
    return {"workers": [replace(HEALTHY.workers[0], **changes)]}


def levels(seen: Look) -> dict[str, Level]:
    return {finding.check: finding.level for finding in examine(seen, client_version="1.0")}


def test_a_healthy_deployment_passes_every_check() -> None:
    assert set(levels(HEALTHY).values()) == {Level.OK}


@pytest.mark.parametrize(
    ("change", "check", "level"),
    [
        (info(version="0.9"), "server", Level.WARNING),
        (info(store_version="redis 6.0.20"), "store_version", Level.FAILED),
        (info(store_version="keydb 6.3.4"), "store_version", Level.WARNING),
        (info(store_persistence="no"), "store_persistence", Level.WARNING),
        (info(store_persistence="off"), "store_persistence", Level.FAILED),
        (info(store_eviction_policy="allkeys-lru"), "store_eviction_policy", Level.FAILED),
        (info(store_refusal="the store is out of memory"), "store_writes", Level.FAILED),
        (info(store_latency=timedelta(milliseconds=9)), "store_latency", Level.WARNING),
        (info(store_latency=timedelta(milliseconds=90)), "store_latency", Level.FAILED),
        ({"round_trip": timedelta(seconds=1)}, "round_trip", Level.WARNING),
        (info(store_time=NOW + timedelta(seconds=5)), "clock", Level.WARNING),
        (info(store_time=NOW - MINUTE), "clock", Level.FAILED),
        (queue(oldest_age=MINUTE), "lag", Level.WARNING),
        (queue(oldest_age=10 * MINUTE), "lag", Level.FAILED),
        (queue(paused=True, oldest_age=10 * MINUTE), "paused", Level.WARNING),
        (queue(max_queued=3), "full", Level.FAILED),
        (worker(queues=("mail",)), "unserved_queues", Level.FAILED),
        (worker(task_types=()), "unserved_types", Level.FAILED),
        (worker(id="another"), "orphans", Level.FAILED),
        (
            {"stats": replace(HEALTHY.stats, history=(HistoryBucket(completed=8, failed=2),))},
            "success_rate",
            Level.WARNING,
        ),
    ],
)
def test_one_thing_that_is_wrong_is_found_by_one_check_that_says_how_to_mend_it(
    change: dict[str, Any], check: str, level: Level
) -> None:
    seen = replace(HEALTHY, **change)

    wrong = [each for each in examine(seen, client_version="1.0") if each.level is not Level.OK]

    assert [(each.check, each.level) for each in wrong] == [(check, level)]
    assert all(each.fix for each in wrong)


def test_without_workers_tasks_that_wait_are_found_by_several() -> None:
    found = levels(replace(HEALTHY, workers=[]))

    failed = {check for check, level in found.items() if level is Level.FAILED}
    assert failed == {"workers", "unserved_queues", "unserved_types", "orphans"}
    idle = levels(replace(HEALTHY, workers=[], queues=[], running=[], stats=Stats()))
    assert idle["workers"] is Level.WARNING
