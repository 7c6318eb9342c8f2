"""Task types that log in every way there is."""

import asyncio
import logging
from typing import Annotated

from taskline_service import Logged, TaskContext, TaskRegistry

tasks = TaskRegistry()
log = logging.getLogger("their.library")


@tasks.task("log.async", queue="mail")
async def on_loop(name: Annotated[str, Logged], ctx: TaskContext) -> None:
    log.info("on the loop")
    await asyncio.to_thread(log.info, "in a thread of asyncio")
    await asyncio.create_task(_inner())
    ctx.logger.error("through the context", extra={"page": 7, "task_id": "forged"})


async def _inner() -> None:
    log.info("in a task of asyncio")


@tasks.task("log.thread", queue="mail")
def in_thread(name: Annotated[str, Logged], ctx: TaskContext) -> None:
    log.info("in a thread")
    ctx.logger.error("through the context", extra={"page": 7, "task_id": "forged"})


@tasks.task("log.child", queue="mail", executor="process")
def in_child(name: Annotated[str, Logged], ctx: TaskContext) -> None:
    try:
        raise LookupError("cause")
    except LookupError:
        log.exception("in a child")
    ctx.logger.error("through the context", extra={"page": 7, "task_id": "forged"})


@tasks.task("log.child_async", queue="mail", executor="process")
async def on_loop_in_child(name: Annotated[str, Logged], ctx: TaskContext) -> None:
    log.info("on the loop of a child")
    await asyncio.to_thread(log.info, "in a thread of a child")
    ctx.logger.error("through the context", extra={"page": 7, "task_id": "forged"})
