"""Task types that are given a secret, and do with it what could let it out."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, field_validator

from taskline_service import Logged, TaskContext, TaskFailure, TaskRegistry

tasks = TaskRegistry()
SOON = timedelta(milliseconds=20)


class Order(BaseModel):
    """An input that only its own code can refuse."""

    number: Annotated[int, Logged]
    secret: str

    @field_validator("secret")
    @classmethod
    def not_refused(cls, value: str) -> str:
        if value.startswith("refused"):
            raise ValueError(f"refused: {value}")
        if value.startswith("broken"):
            raise RuntimeError(value)
        return value


@tasks.task("canary.order")
def order(order: Order) -> str:
    return order.secret


@tasks.task("canary.tell")
async def tell(number: Annotated[str, Logged], secret: str, ctx: TaskContext) -> AsyncIterator[str]:
    await ctx.progress.set_message(secret)
    ctx.progress.set_details({"secret": secret})
    await ctx.log(secret)
    yield secret


@tasks.task("canary.child", executor="process")
def child(secret: str, ctx: TaskContext) -> dict[str, str]:
    ctx.progress.set_message(secret)
    ctx.log(secret)
    return {"secret": secret}


@tasks.task("canary.child_fails", executor="process", max_attempts=1)
def child_fails(secret: str) -> None:
    raise LookupError(secret)


@tasks.task("canary.child_dies", executor="process", max_attempts=1)
def child_dies(secret: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@tasks.task("canary.fails", max_attempts=2, initial_backoff=SOON)
async def fails(secret: str) -> None:
    try:
        raise ValueError(secret)
    except ValueError as error:
        raise TaskFailure(secret, details={"secret": secret}) from error


@tasks.task("canary.unwritable", max_attempts=1)
async def unwritable(secret: str) -> Any:
    return {"value": [secret, {secret}]}


@tasks.task("canary.wrong_type", max_attempts=1)
async def wrong_type(secret: str) -> int:
    return secret  # type: ignore[return-value]  # the fault


@tasks.task("canary.waits")
async def waits(secret: str, ctx: TaskContext) -> None:
    await ctx.progress.set_message(secret)
    await asyncio.Event().wait()


@tasks.task("canary.slow", timeout=timedelta(milliseconds=100), max_attempts=1)
def slow(secret: str) -> None:
    while True:
        time.sleep(0.01)


@tasks.task("canary.kills_worker", max_attempts=1)
async def kills_worker(secret: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
