"""`taskline worker`: a store and a worker, put together."""

import asyncio
import faulthandler
import logging
import os
import secrets
import socket
from datetime import timedelta

from taskline_service import process, telemetry
from taskline_service.config import WorkerConfig
from taskline_service.embedded import join
from taskline_service.load_tasks import load_tasks
from taskline_service.rpc.subtasks import SubtaskAnswers
from taskline_service.tasks import TaskRegistry
from taskline_service.telemetry.working import WorkerTelemetry
from taskline_service.upkeep import Upkeep
from taskline_service.worker import Worker

log = logging.getLogger(__name__)

# After the grace: for tasks to notice that they are interrupted, and for giving them back.
# Within two seconds after the grace the process is gone.
_RELEASE_TIME = timedelta(seconds=1.5)
# After the grace: if even the event loop does not go on by then, a thread ends the process.
_END_LIMIT = timedelta(seconds=2)
_HOST_CHARACTERS = 24


def run(config: WorkerConfig) -> int:
    """Work until a signal; returns the exit code.

    Raises:
        WrongOption: --tasks names no registry.
    """
    # If its interpreter crashes, or its parent gives it up, it shows what it was doing.
    faulthandler.enable()
    worker_id = new_worker_id()
    return process.run(
        _work(config, load_tasks(config.tasks), worker_id),
        name="taskline-worker",
        who=f"worker {worker_id}",
        log_level=config.log_level.number,
        log_as_json=config.log_format.as_json,
        metrics_listen=config.metrics_listen,
    )


async def _work(config: WorkerConfig, tasks: TaskRegistry, worker_id: str) -> int:
    stop_signal = process.StopSignal()
    url = config.store.redis_url
    if url is None:
        assert config.store.data_dir is not None
        url = await join(config.store.data_dir)
    async with process.store_at(
        url,
        config.namespace,
        partitions=config.partitions,
        result_ttl=config.result_ttl,
        record_ttl=config.record_ttl,
        max_lost=config.max_lost,
        max_queued=config.max_queued,
    ) as (store, address):
        upkeep = Upkeep(store, on_failed=telemetry.task_failed)
        answers = SubtaskAnswers(store, address, tasks, max_input_size=config.max_input_size)
        worker = Worker(
            store,
            address,
            tasks,
            worker_id=worker_id,
            identity=f"{socket.gethostname()} process {os.getpid()}",
            queues=config.queues,
            concurrency=config.concurrency,
            lease=config.lease,
            max_result_size=config.max_result_size,
            tasks_at=config.tasks,
            observer=WorkerTelemetry(worker_id),
            answers=answers,
            owns_process=True,
        )
        stop_signal.when_overdue(config.grace + _END_LIMIT, worker.end_process)
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(loop.run()) for loop in (upkeep, answers)]
            working = group.create_task(worker.run())
            await stop_signal.wait()
            left = await end_work(worker, working, config.grace)
            for loop in loops:
                loop.cancel()
    if left:
        log.error("worker %s: ended; %d tasks are left to their leases", worker_id, left)
        return 1
    log.info("worker %s: ended", worker_id)
    return 0


async def end_work(worker: Worker, working: "asyncio.Task[None]", grace: timedelta) -> int:
    """Let what runs finish, and give back what does not.

    Returns how many tasks are neither: the store did not answer, and others get them when
    their leases run out.
    """
    worker.stop()
    done, _ = await asyncio.wait([working], timeout=grace.total_seconds())
    if not done:
        log.warning("%d tasks still run after the grace: given back", worker.running)
        worker.release_all()
        done, _ = await asyncio.wait([working], timeout=_RELEASE_TIME.total_seconds())
    if done:
        return 0
    log.warning("%d tasks do not stop: given back all the same", worker.running)
    left = await worker.abandon()
    working.cancel()
    return left


def new_worker_id() -> str:
    """Host, process and four random digits: unique, and people know where to look."""
    host = socket.gethostname()[:_HOST_CHARACTERS]
    return f"{host}-{os.getpid()}-{secrets.token_hex(2)}"
