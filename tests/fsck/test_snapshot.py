"""Snapshots: a copy is loaded into a private store, and judged as it was written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from taskline_service.embedded import EmbeddedStore
from taskline_service.fsck import Invariant, Report, SnapshotUnreadable, check_store, loaded
from taskline_service.store import Directory, Keys, Redis, TaskStore, parse_redis_url
from tests.fsck.populated import populate

KEYS = Keys("default")


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[TaskStore]:
    """An embedded store on this directory."""
    async with (
        EmbeddedStore.start(data_dir) as embedded,
        Redis(parse_redis_url(embedded.url)) as redis,
    ):
        yield TaskStore(redis, KEYS)


async def check(snapshot: Path) -> Report:
    async with loaded(snapshot) as url, Redis(parse_redis_url(url)) as redis:
        return await check_store(redis, KEYS)


def digest(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(file): sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


def commands_of(data_dir: Path) -> Path:
    """The append-only file, or of one in several parts the one with all commands."""
    single = data_dir / "appendonly.aof"
    return single if single.exists() else data_dir / "appendonlydir" / "appendonly.aof.1.incr.aof"


async def written(store: TaskStore) -> bool:
    """Whether its file has all that it was told."""
    return b"aof_buffer_length:0\r" in await store.redis.call(b"INFO", b"persistence")


async def test_the_files_of_a_running_store_are_checked_and_stay_as_they_are(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "data") as store:
        await populate(store)
        async with asyncio.timeout(10):  # a slow disk lets the last commands wait
            while not await written(store):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        before = digest(tmp_path / "data")

        report = await check(tmp_path / "data")

        assert digest(tmp_path / "data") == before
    assert (report.clean, report.tasks) == (True, 9)


async def test_an_rdb_file_is_checked(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as store:
        await populate(store)
        await store.redis.call(b"ZREM", KEYS.prefix + b"leases", b"running")
        await store.redis.call(b"SAVE")
    rdb = tmp_path / "data" / "dump.rdb"
    before = digest(rdb)

    report = await check(rdb)

    assert [(o.invariant, o.subject) for o in report.offences] == [
        (Invariant.PLACE, "task running")
    ]
    assert digest(rdb) == before


async def test_an_append_only_file_of_commands_is_checked(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as store:
        await populate(store)

    report = await check(commands_of(tmp_path / "data"))

    assert (report.clean, report.tasks) == (True, 9)


async def test_a_file_that_was_cut_off_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as store:
        await populate(store)
    commands = commands_of(tmp_path / "data")
    whole = commands.read_bytes()
    for part in range(1, 6):
        commands.write_bytes(whole[: len(whole) * part // 6])

        report = await check(commands)

        assert report.offences == ()


async def test_a_file_in_several_parts_is_checked_if_the_server_knows_such_files(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "data") as store:
        await populate(store)
        version = (await Directory(store.redis, KEYS).store_info()).version
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "jobs.aof.manifest").write_text("file jobs.1.incr.aof seq 1 type i\n")
    (parts / "jobs.1.incr.aof").write_bytes(commands_of(tmp_path / "data").read_bytes())

    if version.startswith("6."):
        with pytest.raises(SnapshotUnreadable, match="it takes Valkey, or Redis 7"):
            await check(parts)
    else:
        assert (await check(parts)).tasks == 9
        (parts / "jobs.1.incr.aof").unlink()
        with pytest.raises(SnapshotUnreadable, match="the server cannot read"):
            await check(parts)


@pytest.mark.parametrize("content", [b"", b"a text", b"\0\0"], ids=["empty", "text", "zeros"])
async def test_what_is_no_snapshot_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)

    with pytest.raises(SnapshotUnreadable, match="neither an RDB nor an append-only file"):
        await check(file)


async def test_a_damaged_snapshot_is_refused_with_what_the_server_says(tmp_path: Path) -> None:
    file = tmp_path / "dump.rdb"
    file.write_bytes(b"REDIS0011" + bytes(range(200)))

    with pytest.raises(SnapshotUnreadable, match="the server cannot read"):
        await check(file)


async def test_a_directory_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotUnreadable, match="in several parts"):
        await check(tmp_path)
