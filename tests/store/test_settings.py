"""What a store may be like: its settings are looked at, and few rights suffice."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from taskline.v1.admin_service_pb2 import GetServerInfoRequest
from taskline_service import TaskContext
from taskline_service.process import store_at
from taskline_service.store import Redis, TaskStore, parse_redis_url
from taskline_service.store.connection import StoreError
from tests.stack import Stack

A_MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def setting(redis_url: str, name: str, value: str) -> AsyncIterator[None]:
    """The store has another setting until the block ends."""
    async with Redis(parse_redis_url(redis_url)) as redis:
        _, before = await redis.call(b"CONFIG", b"GET", name)
        await redis.call(b"CONFIG", b"SET", name, value)
        try:
            yield
        finally:
            await redis.call(b"CONFIG", b"SET", name, before)


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [
        pytest.param(
            "maxmemory-policy",
            "allkeys-lru",
            "the store evicts keys (allkeys-lru) and so may lose tasks: "
            "set maxmemory-policy noeviction",
            id="it evicts keys",
        ),
        pytest.param(
            "appendonly",
            "no",
            "the store keeps no append-only file: a restart of it loses tasks",
            id="it keeps nothing",
        ),
    ],
)
async def test_a_store_that_may_lose_tasks_is_complained_of_at_the_start(
    redis_url: str, caplog: pytest.LogCaptureFixture, name: str, value: str, warning: str
) -> None:
    looked_at = store_at(
        redis_url, "settings", result_ttl=A_MINUTE, record_ttl=A_MINUTE, max_lost=3
    )
    async with setting(redis_url, name, value), looked_at:
        pass

    assert warning in [record.getMessage() for record in caplog.records]


async def test_operators_are_told_whether_the_store_evicts(stack: Stack, redis_url: str) -> None:
    async with setting(redis_url, "maxmemory-policy", "volatile-ttl"):
        info = await stack.admin.GetServerInfo(GetServerInfoRequest())

    assert info.store_eviction_policy == "volatile-ttl"


@asynccontextmanager
async def few_rights(store: TaskStore, redis_url: str) -> AsyncIterator[str]:
    """A user of the store who may touch what begins with its prefix, and nothing dangerous."""
    user, password = f"user-{secrets.token_hex(4)}", secrets.token_hex(8)
    prefix = store.keys.prefix.decode()
    rights = ("resetchannels", f"~{prefix}*", f"&{prefix}*", "+@all", "-@admin", "-@dangerous")
    needed = ("+info", "+client|setname")
    await store.redis.call("ACL", "SETUSER", user, "on", f">{password}", *rights, *needed)
    try:
        yield redis_url.replace("unix://", f"unix://{user}:{password}@")
    finally:
        await store.redis.call("ACL", "DELUSER", user)


async def test_rights_to_its_own_keys_are_all_that_it_needs(
    store: TaskStore, redis_url: str
) -> None:
    async with few_rights(store, redis_url) as url, Redis(parse_redis_url(url)) as redis:
        own = TaskStore(redis, store.keys)
        async with Stack.running(own, parse_redis_url(url)) as stack:

            @stack.tasks.task("twice", initial_backoff=timedelta(milliseconds=1))
            async def twice(ctx: TaskContext) -> int:
                await ctx.progress.increment()
                await ctx.log("here")
                if ctx.attempt == 1:
                    raise ConnectionError("not yet")
                return ctx.attempt

            async with stack.worker():
                handle = await stack.client.enqueue("twice")
                kinds = {type(event).__name__ async for event in handle.watch()}
                result = await handle.result()
                listed = [task.id async for task in stack.client.list_tasks()]
            info = await stack.admin.GetServerInfo(GetServerInfoRequest())
        for command in (["GET", "foreign"], ["FLUSHALL"], ["CONFIG", "GET", "*"]):
            with pytest.raises(StoreError, match="NOPERM"):
                await redis.call(*command)

    assert (result, listed) == (2, [handle.id])
    assert {"StateChanged", "LogLine", "Ended"} <= kinds
    assert info.store_eviction_policy
