"""What taskline_service.testing gives to the tests of others, as docs/testing.md tells of it."""

import asyncio
import re
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from taskline_client import TaskClient, TaskFailed, TaskNotFound, TaskState, sync
from taskline_service import TaskRegistry
from taskline_service.embedded import ServerNotFound
from taskline_service.testing import Service, serving, serving_in_thread, taskline_fixture
from taskline_service.testing.store import SharedStore, shared_store

PAGE = (Path(__file__).parent.parent / "docs" / "testing.md").read_text("utf-8")
BLOCKS = re.findall(r'^```python because="(.+)"\n((?:.*\n)*?)```$', PAGE, re.MULTILINE)

tasks = TaskRegistry()
failures: list[int] = []


@tasks.task("doubled")
async def doubled(number: int) -> int:
    return 2 * number


@tasks.task("fails", initial_backoff=timedelta(minutes=1), max_attempts=3)
async def fails() -> None:
    failures.append(1)
    raise ConnectionError("no")


@tasks.task("waits")
async def waits() -> None:
    await asyncio.Event().wait()


taskline = taskline_fixture(tasks, longest_backoff=timedelta(0))


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    for mark, text in BLOCKS:
        if written := re.search(r"to (\S+)$", mark):
            (tmp_path / written[1]).write_text(text)
    (program,) = (text for mark, text in BLOCKS if mark == "the tests run it")

    tested = run("-m", "pytest", "-p", "no:valkey", "-p", "no:asyncio", folder=tmp_path)
    printed = run("-W", "error", "-c", program, folder=tmp_path)

    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "3 passed" in tested.stdout
    assert (printed.stdout, printed.stderr) == ("passed\n", "")


def test_a_synchronous_test_has_a_service(taskline: Service) -> None:
    with sync.TaskClient(taskline.address) as client:
        assert client.run(doubled, 4) == 8


async def test_an_asynchronous_test_has_one_too(taskline: Service) -> None:
    async with TaskClient(taskline.address) as client:
        assert await client.run(doubled, 4) == 8


def test_retries_do_not_wait_longer_than_they_may(taskline: Service) -> None:
    failures.clear()
    with sync.TaskClient(taskline.address) as client, pytest.raises(TaskFailed):
        client.enqueue(fails).result(timeout=timedelta(seconds=20))
    assert len(failures) == 3


def test_retries_wait_as_declared_if_nothing_is_said() -> None:
    with serving_in_thread(tasks) as service, sync.TaskClient(service.address) as client:
        handle = client.enqueue(fails)
        retried = next(e for e in handle.watch() if getattr(e, "state", None) is TaskState.RETRYING)
        assert retried
        assert handle.get().state is TaskState.RETRYING


async def test_services_see_nothing_of_each_other() -> None:
    async with serving(tasks) as one, serving(tasks) as other:
        assert one.address != other.address
        async with TaskClient(one.address) as client, TaskClient(other.address) as stranger:
            handle = await client.enqueue(doubled, 1)
            await handle.result()
            with pytest.raises(TaskNotFound):
                await stranger.get(handle.id)


async def test_what_still_runs_is_interrupted_at_the_end() -> None:
    started, stopped = asyncio.Event(), asyncio.Event()
    tasks = TaskRegistry()

    @tasks.task("endless")
    async def endless() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with (
        asyncio.timeout(10),
        serving(tasks) as service,
        TaskClient(service.address) as client,
    ):
        await client.enqueue(endless)
        await started.wait()

    assert stopped.is_set()


def test_a_failing_test_ends_its_service_too() -> None:
    before = set(threading.enumerate())
    shared_store()

    with pytest.raises(AssertionError), serving_in_thread(tasks):
        raise AssertionError

    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert {name for name in left if name.startswith("taskline-testing")} <= {
        "taskline-testing-store"
    }


def test_a_service_that_does_not_start_says_why() -> None:
    needy = TaskRegistry()

    @needy.task("needy", executor="process")
    def in_a_process() -> None:
        pass

    with pytest.raises(ValueError, match="needy"), serving_in_thread(needy):
        pass


def test_all_services_of_a_process_share_one_store() -> None:
    assert shared_store() is shared_store()


def test_the_store_is_gone_with_its_process(tmp_path: Path) -> None:
    code = """
from taskline_service.testing.store import shared_store
print(shared_store().url.removeprefix("unix://"))
"""
    ended = run("-W", "error", "-c", code, folder=tmp_path)

    assert ended.returncode == 0
    assert ended.stderr == ""
    assert not Path(ended.stdout.strip()).exists()


def test_without_a_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKLINE_REDIS_SERVER", "no-such-server")

    with pytest.raises(ServerNotFound):
        SharedStore()


def test_importing_it_does_not_import_pytest(tmp_path: Path) -> None:
    code = "import sys, taskline_service.testing; print('pytest' in sys.modules)"

    assert run("-c", code, folder=tmp_path).stdout == "False\n"
