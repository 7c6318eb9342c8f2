import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from taskline_service.config import ServeConfig
from taskline_service.supervisor import (
    Backoff,
    Supervisor,
    longest_silence,
    worker_command,
    worker_environment,
)

_SOON = Backoff(first=timedelta(milliseconds=1), longest=timedelta(milliseconds=5))

# Each life appends its pid to the file argv[1], then waits for its end.
_LIVE = """
import ctypes, faulthandler, os, pathlib, signal, sys
from taskline_service.die_with_parent import die_with_parent
die_with_parent(int(os.environ["TASKLINE_PARENT_PID"]))
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "signs" in sys.argv:
    from taskline_service.signs_of_life import VARIABLE, give_signs
    give_signs(int(os.environ[VARIABLE]))
with open(sys.argv[1], "a") as lives:
    lives.write(f"{os.getpid()}\\n")
print("on standard output", flush=True)
def hold_the_interpreter():
    ctypes.PyDLL(None).sleep(1000)
if "held" in sys.argv:
    faulthandler.enable()
    hold_the_interpreter()
if "dies" not in sys.argv:
    signal.pause()
"""

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
_NONE = timedelta(0)
_SILENCE = timedelta(seconds=2)


def living(lives: Path, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-c", _LIVE, str(lives), *words)


def pids(lives: Path) -> list[int]:
    text = lives.read_text() if lives.exists() else ""
    return [int(line) for line in text.splitlines()]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the state is in other processes
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(supervisor.run())
    try:
        yield task
    finally:
        supervisor.stop()
        await asyncio.wait({task})


@pytest.fixture
def lives(tmp_path: Path) -> Path:
    return tmp_path / "lives"


async def test_as_many_processes_run_as_were_asked_for(lives: Path) -> None:
    supervisor = Supervisor(living(lives), count=2, grace=timedelta(0))

    async with running(supervisor):
        await until(lambda: len(pids(lives)) == 2)

        assert all(map(alive, pids(lives)))


async def test_stopping_leaves_no_process(lives: Path) -> None:
    supervisor = Supervisor(living(lives), count=2, grace=timedelta(0))

    async with running(supervisor) as task:
        await until(lambda: len(pids(lives)) == 2)
        supervisor.stop()
        await task

    assert not any(map(alive, pids(lives)))


async def test_cancelling_leaves_no_process(lives: Path) -> None:
    supervisor = Supervisor(living(lives), count=1, grace=timedelta(0))

    async with running(supervisor) as task:
        await until(lambda: len(pids(lives)) == 1)
        task.cancel()
        await asyncio.wait({task})

    assert task.cancelled()
    assert not any(map(alive, pids(lives)))


async def test_a_process_that_was_killed_is_started_again(lives: Path) -> None:
    supervisor = Supervisor(living(lives), count=1, grace=timedelta(0), backoff=_SOON)

    async with running(supervisor):
        await until(lambda: len(pids(lives)) == 1)
        os.kill(pids(lives)[0], signal.SIGKILL)
        await until(lambda: len(pids(lives)) == 2)

        assert [alive(pid) for pid in pids(lives)] == [False, True]


async def test_a_process_that_keeps_dying_is_started_again_and_again(lives: Path) -> None:
    supervisor = Supervisor(living(lives, "dies"), count=1, grace=timedelta(0), backoff=_SOON)

    async with running(supervisor):
        await until(lambda: len(pids(lives)) >= 4)


@needs_proc
async def test_a_process_that_was_stopped_for_good_is_replaced(
    lives: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(
        living(lives, "signs"), count=2, grace=_NONE, longest_silence=_SILENCE, backoff=_SOON
    )

    async with running(supervisor):
        await until(lambda: len(pids(lives)) == 2)
        stopped, other = pids(lives)
        os.kill(stopped, signal.SIGSTOP)
        await until(lambda: len(pids(lives)) == 3)

        assert not alive(stopped)
        assert all(map(alive, [other, pids(lives)[2]]))
    told = [r.message for r in caplog.records if "no sign of life" in r.message]
    assert len(told) == 1 and f"process {stopped} gave no sign of life for 2 s" in told[0]


@needs_proc
async def test_a_process_that_was_stopped_for_a_moment_goes_on(lives: Path) -> None:
    supervisor = Supervisor(
        living(lives, "signs"), count=1, grace=_NONE, longest_silence=_SILENCE, backoff=_SOON
    )

    async with running(supervisor) as task:
        await until(lambda: len(pids(lives)) == 1)
        (pid,) = pids(lives)
        for _ in range(4):  # together it is longer than the longest silence
            os.kill(pid, signal.SIGSTOP)
            await asyncio.wait({task}, timeout=0.8)
            os.kill(pid, signal.SIGCONT)
            await asyncio.wait({task}, timeout=1.2)

        assert pids(lives) == [pid] and alive(pid)


@needs_proc
async def test_a_process_whose_interpreter_is_held_up_shows_where_and_is_replaced(
    lives: Path,
) -> None:
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SERVER, *living(lives, "signs", "held")),
        stderr=asyncio.subprocess.PIPE,
    )
    await until(lambda: len(pids(lives)) > 2)
    server.kill()
    _, shown = await server.communicate()

    assert b"Fatal Python error: Aborted" in shown
    assert b"in hold_the_interpreter" in shown


@needs_proc
async def test_who_was_stopped_with_all_its_processes_replaces_none(lives: Path) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVER, *living(lives, "signs")
    )
    await until(lambda: len(pids(lives)) == 2)
    all_of_them = [server.pid, *pids(lives)]
    for stop, wait in ((signal.SIGSTOP, 4.0), (signal.SIGCONT, 1.5)):
        for pid in all_of_them:
            os.kill(pid, stop)
        await asyncio.wait({asyncio.create_task(server.wait())}, timeout=wait)

    assert pids(lives) == all_of_them[1:] and all(map(alive, all_of_them))
    server.kill()
    await server.wait()


async def test_a_process_that_gives_no_signs_yet_is_still_starting(lives: Path) -> None:
    supervisor = Supervisor(
        living(lives), count=1, grace=_NONE, longest_silence=timedelta(seconds=0.5), backoff=_SOON
    )

    async with running(supervisor) as task:
        await until(lambda: len(pids(lives)) == 1)
        await asyncio.wait({task}, timeout=2)

        assert len(pids(lives)) == 1


def test_workers_are_replaced_long_after_their_leases_have_run_out() -> None:
    seconds = [longest_silence(timedelta(seconds=s)).total_seconds() for s in (1, 30, 300)]

    assert seconds == [10, 60, 600]


async def test_a_program_that_does_not_exist_does_not_end_the_supervisor(tmp_path: Path) -> None:
    supervisor = Supervisor([str(tmp_path / "missing")], count=1, grace=timedelta(0), backoff=_SOON)

    async with running(supervisor) as task:
        done, _ = await asyncio.wait({task}, timeout=0.1)

        assert not done


async def test_a_process_that_ignores_the_end_is_killed_after_its_grace(
    lives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskline_service.supervisor._END_MARGIN", timedelta(seconds=0.1))
    supervisor = Supervisor(living(lives, "stubborn"), count=1, grace=timedelta(0))

    async with running(supervisor) as task:
        await until(lambda: len(pids(lives)) == 1)
        supervisor.stop()
        await task

    assert not alive(pids(lives)[0])


_SERVER = """
import asyncio, sys
from datetime import timedelta
from taskline_service.supervisor import Supervisor
silence = timedelta(seconds=2) if "signs" in sys.argv else None
asyncio.run(
    Supervisor(sys.argv[1:], count=2, grace=timedelta(0), longest_silence=silence).run()
)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
async def test_the_processes_are_gone_when_the_server_was_killed(lives: Path) -> None:
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", _SERVER, *living(lives))
    await until(lambda: len(pids(lives)) == 2)

    server.kill()
    await server.wait()

    await until(lambda: not any(map(alive, pids(lives))))


async def test_what_the_processes_print_goes_to_standard_error(lives: Path) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _SERVER,
        *living(lives),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert server.stderr
    printed = await server.stderr.readline()
    server.kill()
    stdout, _ = await server.communicate()

    # Of two processes at once, so only its beginning is certain.
    assert printed.startswith(b"on standard")
    assert stdout == b""


def test_the_wait_doubles_up_to_its_limit() -> None:
    backoff = Backoff()

    seconds = [backoff.delay(deaths).total_seconds() for deaths in (1, 2, 3, 6, 7, 10_000)]

    assert seconds == [0.5, 1, 2, 16, 30, 30]


def test_a_worker_gets_the_options_of_its_server() -> None:
    config = ServeConfig.from_options(
        tasks="examples.tasks:tasks",
        data_dir=Path("/data"),
        namespace="blue",
        partitions=3,
        concurrency=4,
        lease_s=5,
        grace_s=7,
        max_queued=12,
        max_input_size=500,
        max_result_size=1000,
        result_ttl_s=60,
        record_ttl_s=90,
        max_lost=5,
    )

    command = " ".join(worker_command(config))

    assert command.endswith(
        "worker --tasks examples.tasks:tasks --data-dir /data --namespace blue "
        "--concurrency 4 --lease 5.0 --grace 7.0 --partitions 3 "
        "--max-queued 12 --max-input-size 500 --max-result-size 1000 "
        "--result-ttl 60.0 --record-ttl 90.0 --max-lost 5 --log-level info --log-format auto"
    )
    assert worker_environment(config, 1) == {}


def test_a_password_does_not_appear_on_a_workers_command_line() -> None:
    url = "redis://:secret@cache:6379/0"
    config = ServeConfig.from_options(tasks="m:t", redis_url=url)

    assert "secret" not in " ".join(worker_command(config))
    assert worker_environment(config, 1) == {"TASKLINE_REDIS_URL": url}
