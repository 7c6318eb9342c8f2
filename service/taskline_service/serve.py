"""`taskline serve`: the store, the gRPC server and the workers beside it, put together."""

import asyncio
import functools
import logging
import os
from contextlib import AsyncExitStack

from taskline_service import process, telemetry
from taskline_service.config import ServeConfig
from taskline_service.embedded import EmbeddedStore, ServerEnded
from taskline_service.limits import PayloadSizes
from taskline_service.load_tasks import load_tasks
from taskline_service.rpc import PortTaken, RpcServer
from taskline_service.store import directory_of
from taskline_service.supervisor import (
    Supervisor,
    longest_silence,
    worker_command,
    worker_environment,
)
from taskline_service.tasks import TaskRegistry
from taskline_service.unserved import UnservedTypes
from taskline_service.upkeep import Upkeep

log = logging.getLogger(__name__)


def run(config: ServeConfig) -> int:
    """Serve until a signal; returns the exit code.

    Raises:
        WrongOption: --tasks names no registry.
    """
    tasks = load_tasks(config.tasks) if config.tasks else TaskRegistry()
    return process.run(
        _serve(config, tasks),
        name="taskline-server",
        who=f"server {os.getpid()}",
        log_level=config.log_level.number,
        log_as_json=config.log_format.as_json,
        metrics_listen=config.metrics_listen,
        expected=(PortTaken,),
    )


async def _serve(config: ServeConfig, tasks: TaskRegistry) -> int:
    stop_signal = process.StopSignal()
    async with AsyncExitStack() as stack:
        url = config.store.redis_url
        embedded = None
        if url is None:
            assert config.store.data_dir is not None
            embedded = await stack.enter_async_context(EmbeddedStore.start(config.store.data_dir))
            url = embedded.url
        store, address = await stack.enter_async_context(
            process.store_at(
                url,
                config.namespace,
                partitions=config.partitions,
                result_ttl=config.result_ttl,
                record_ttl=config.record_ttl,
                max_lost=config.max_lost,
                max_queued=config.max_queued,
            )
        )
        sizes = PayloadSizes(max_input=config.max_input_size, max_result=config.max_result_size)
        server = RpcServer(
            store,
            address,
            tasks,
            reflection=config.reflection,
            sizes=sizes,
            longest_wait=config.longest_wait,
        )
        supervisor = Supervisor(
            worker_command(config),
            count=config.workers,
            grace=config.grace,
            environment=functools.partial(worker_environment, config),
            longest_silence=longest_silence(config.lease),
        )
        async with asyncio.TaskGroup() as group:
            upkeep = Upkeep(store, on_failed=telemetry.task_failed)
            unserved = UnservedTypes(directory_of(store))
            background = [group.create_task(loop.run()) for loop in (upkeep, unserved)]
            if embedded is not None:
                background.append(group.create_task(_watch(embedded, supervisor)))
            workers = group.create_task(supervisor.run())
            async with server.serving(str(config.listen)) as port:
                print(f"taskline: serving on {config.listen.with_port(port)}", flush=True)
                await stop_signal.wait()
                supervisor.stop()
                await server.drain(config.grace)
            await workers
            for task in background:
                task.cancel()
    return 0


async def _watch(embedded: EmbeddedStore, supervisor: Supervisor) -> None:
    """Without its store, the server ends at once, and says first why."""
    try:
        await embedded.watch()
    except ServerEnded as error:
        log.error("%s; nothing can be stored, so the server ends too", error.summary)
        supervisor.abandon()
        raise
