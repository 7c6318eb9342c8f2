"""Whatever one task or one step of upkeep comes to, everything else that is due happens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from taskline_service.errors import StoreFull, TaskNotFound
from taskline_service.store import StoreError, TaskStore
from taskline_service.store.values import Completion
from taskline_service.task import TaskState
from taskline_service.upkeep import Upkeep
from tests.store.making import AN_HOUR, LEASE, NO_TIME, claimed, enqueue, new_task

SOON = timedelta(milliseconds=20)


@asynccontextmanager
async def upkeep(store: TaskStore) -> AsyncIterator[None]:
    running = asyncio.create_task(Upkeep(store, hold=NO_TIME).run())
    try:
        yield
    finally:
        assert not running.done(), "it works until it is cancelled"
        running.cancel()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - upkeep tells nobody
            await asyncio.sleep(0.01)


async def state_of(store: TaskStore, task_id: str) -> TaskState | None:
    try:
        return (await store.get(task_id)).state
    except TaskNotFound:
        return None


async def something_for_each_step(store: TaskStore) -> None:
    brief = TaskStore(store.redis, store.keys, result_ttl=SOON, record_ttl=SOON)
    await brief.complete([Completion(await claimed(store, "to expire"), b"1")])
    await claimed(store, "to take back", lease=SOON)
    await enqueue(store, new_task("to time out", queue_timeout=SOON))
    await enqueue(store, new_task("to promote", delay=SOON, task_type="other"))


DONE = {
    "to promote": TaskState.QUEUED,
    "to time out": TaskState.FAILED,
    "to expire": None,
    "to take back": TaskState.RETRYING,
}
STEPS = {
    "promote": "to promote",
    "queue_timeout": "to time out",
    "expire": "to expire",
    "reclaim": "to take back",
}


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(StoreError("ERR unforeseen"), id="a script that fails"),
        pytest.param(StoreFull("no memory"), id="a store without memory"),
        pytest.param(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), id="an odd answer"),
    ],
)
@pytest.mark.parametrize("step", STEPS)
async def test_a_step_that_fails_keeps_no_other_from_being_taken_and_is_told_once(
    store: TaskStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
    trouble: Exception,
) -> None:
    monkeypatch.setattr("taskline_service.upkeep.PAUSE_IN_TROUBLE_S", 0.05)
    its, failures = STEPS[step], 0

    async def fails(*_args: object, **_options: object) -> None:
        nonlocal failures
        failures += 1
        raise trouble

    await something_for_each_step(store)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(store, step, fails)
        async with upkeep(store):
            for task_id in DONE.keys() - {its}:
                await until(lambda of=task_id: _is_done(store, of))  # type: ignore[misc]
            await until(lambda: _true(failures > 2))
            told = [r for r in caplog.records if r.name == "taskline_service.upkeep"]
    async with upkeep(store):
        await until(lambda: _is_done(store, its))

    assert len([r for r in told if "vanished" not in r.message]) == 1


async def _is_done(store: TaskStore, task_id: str) -> bool:
    # What was promoted or is to be tried again may have gone on.
    return await state_of(store, task_id) == DONE[task_id] or (
        task_id == "to take back" and await state_of(store, task_id) == TaskState.QUEUED
    )


async def _true(value: bool) -> bool:
    return value


@pytest.mark.damages_store
@pytest.mark.parametrize("sequence", ["-1", "nan", "inf", "99999999999999999999", "1.5"])
async def test_a_due_task_with_a_broken_number_stops_nothing_and_is_counted(
    store: TaskStore, sequence: str
) -> None:
    await enqueue(store, new_task("bad", delay=SOON))
    await store.redis.call(b"HSET", store.keys.prefix + b"t:bad", b"sq", sequence)
    await something_for_each_step(store)

    async with upkeep(store):
        for task_id in DONE:
            await until(lambda of=task_id: _is_done(store, of))  # type: ignore[misc]
        await until(lambda: _true(store.damage.count == 1))


@pytest.mark.damages_store
async def test_a_running_task_without_a_worker_ends_nothing(store: TaskStore) -> None:
    await claimed(store, "bad", lease=SOON)
    await store.redis.call(b"HDEL", store.keys.prefix + b"t:bad", b"wo")
    await claimed(store, "to take back", lease=SOON)

    async with upkeep(store):
        await until(lambda: _is_done(store, "to take back"))
        await until(lambda: _true(store.damage.count == 1))


@pytest.mark.damages_store
@pytest.mark.parametrize("line", ["due", "queue_timeouts", "retention", "leases"])
@pytest.mark.parametrize("score", ["1", "inf", "1e300"])
async def test_what_strangers_put_into_a_line_of_times_stops_nothing(
    store: TaskStore, line: str, score: str
) -> None:
    await claimed(store, "held", lease=AN_HOUR)  # there are leases
    await store.redis.call(b"ZADD", store.keys.prefix + line.encode(), score, b"\xff\xfe")
    await something_for_each_step(store)

    async with upkeep(store):
        for task_id in DONE:
            await until(lambda of=task_id: _is_done(store, of))  # type: ignore[misc]
        if score == "1":
            await until(lambda: _true(store.damage.count == 1))


@pytest.mark.damages_store
@pytest.mark.parametrize("field", ["at", "until", "since"])
@pytest.mark.parametrize("value", ["x", "nan", "9e18", "-9e18"])
async def test_what_strangers_write_of_the_last_look_at_leases_holds_nothing_back(
    store: TaskStore, field: str, value: str
) -> None:
    await claimed(store, "to take back", lease=SOON)
    await store.redis.call(b"HSET", store.keys.prefix + b"reclaiming", field, value)

    async with upkeep(store):
        await until(lambda: _is_done(store, "to take back"))


@pytest.mark.damages_store
async def test_a_worker_gets_no_task_whose_id_is_no_text(store: TaskStore) -> None:
    await enqueue(store, "good")
    await store.redis.call(b"ZADD", store.keys.prefix + b"q:work:default", b"1", b"\xff\xfe")

    claims, dangling, _ = await store.claim(["work"], count=5, worker="w", lease=LEASE)

    assert [claim.task_id for claim in claims] == ["good"]
    assert len(dangling) == 1
