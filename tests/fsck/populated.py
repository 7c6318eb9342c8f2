"""A store in which everything is that there can be, and ways to damage it."""

import shlex
from datetime import timedelta

from taskline_service.store import Directory, TaskStore, WorkerInfo
from taskline_service.store.values import LogLine, Output
from taskline_service.task import Progress, TaskState
from tests.store.making import AN_HOUR, claim_one, claimed, enqueue, new_task, reach

WORKER = WorkerInfo(
    id="worker-1",
    identity="tests",
    queues=(),
    task_types=("work",),
    concurrency=1,
    running_task_ids=(),
    start_us=1,
)


async def populate(store: TaskStore) -> None:
    """One task in each state, called so in lower case; "waiting", the second one in its line, has
    labels and a queue timeout, "running" a progress and a story, "retrying" a second attempt."""
    directory = Directory(store.redis, store.keys)
    await directory.register_types({"work": b"{}"})
    await directory.heartbeat(WORKER, ttl=timedelta(minutes=1))
    await directory.pause("nothing")
    await reach(store, TaskState.RETRYING, "retrying")
    for state in (TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED):
        await reach(store, state, state.lower())
    running = await claimed(store, "running")
    await store.report_progress([(running, Progress(current=1, total=2))])
    await store.append([LogLine(running, 1, "half", 50.0), Output(running, 2, b"{}")])
    released = await claimed(store, "released")
    await store.release([released])
    assert await claim_one(store) != released
    await reach(store, TaskState.SCHEDULED, "scheduled")
    labels = {"team": "a", "odd": "=:*"}
    waiting = new_task("waiting", labels=labels, priority=0, queue_timeout=AN_HOUR)
    await enqueue(store, "queued", waiting)


async def damage(store: TaskStore, commands: str) -> None:
    """Carry out commands, whose keys are told without the prefix."""
    prefix = store.keys.prefix.decode()
    for command in commands.split(";"):
        name, *arguments = shlex.split(command)
        keys = 2 if name == "COPY" else 1
        await store.redis.call(name, *(prefix + key for key in arguments[:keys]), *arguments[keys:])
