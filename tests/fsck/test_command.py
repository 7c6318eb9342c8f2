"""`taskline fsck` as operators run it: a process, its output and its exit code."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from taskline_service.embedded import EmbeddedStore
from taskline_service.fsck import Invariant
from taskline_service.store import Keys, Redis, TaskStore, parse_redis_url
from tests.fsck.populated import damage, populate

TASKLINE = Path(sys.executable).with_name("taskline")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def fsck(*arguments: str | Path, **environment: str) -> Outcome:
    variables = {n: v for n, v in os.environ.items() if not n.startswith("TASKLINE_")}
    process = await asyncio.create_subprocess_exec(
        TASKLINE,
        "fsck",
        *arguments,
        env={**variables, "TERM": "dumb", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


@pytest.fixture
def options(store: TaskStore, redis_url: str) -> tuple[str, ...]:
    return ("--redis-url", redis_url, "--namespace", store.keys.namespace)


async def test_a_clean_store_is_exit_code_0(store: TaskStore, options: tuple[str, ...]) -> None:
    await populate(store)

    outcome = await fsck(*options)

    assert outcome.code == 0
    assert outcome.out.startswith("taskline fsck: clean: 9 tasks (")
    assert f"of namespace {store.keys.namespace}\n" in outcome.out


@pytest.mark.damages_store
async def test_offences_are_exit_code_1_and_a_line_each(
    store: TaskStore, options: tuple[str, ...]
) -> None:
    await populate(store)
    await damage(store, "ZREM leases running; HSET t:queued zz '\x1b'")

    outcome = await fsck(*options)
    dry_run = await fsck(*options, "--repair")

    assert outcome.code == dry_run.code == 1
    first, *offences, hint = outcome.out.splitlines()
    assert first.startswith("taskline fsck: 2 offences: 9 tasks (")
    assert sorted(offences) == [
        r"fields: task queued: field zz is '\x1b', which no field of a record is called",
        "place: task running: RUNNING, but without a lease",
    ]
    assert "--repair --yes" in hint
    assert "without a lease (would let its lease be over)\n" in dry_run.out
    assert "which no field of a record is called (cannot be mended safely)\n" in dry_run.out
    lease = await store.redis.call(b"ZSCORE", store.keys.prefix + b"leases", b"running")
    assert lease is None, "a dry run changes nothing"


@pytest.mark.damages_store
async def test_a_repair_that_leaves_nothing_is_exit_code_0(
    store: TaskStore, options: tuple[str, ...]
) -> None:
    await populate(store)
    await damage(store, "ZREM leases running; DEL ready")

    outcome = await fsck(*options, "--repair", "--yes")

    assert outcome.code == 0
    assert outcome.out.startswith("taskline fsck: 2 offences mended, now clean: 9 tasks (")
    assert "mended: place: task running: RUNNING, but without a lease: let " in outcome.out
    assert (await fsck(*options)).code == 0


@pytest.mark.damages_store
async def test_a_repair_that_leaves_something_is_exit_code_1(
    store: TaskStore, options: tuple[str, ...]
) -> None:
    await populate(store)
    await damage(store, "ZREM leases running; DEL s:queued")

    outcome = await fsck(*options, "--repair", "--yes", "-o", "json")

    assert outcome.code == 1
    assert [offence["invariant"] for offence in outcome.json["mended"]] == ["place"]
    assert outcome.json["offences"] == [
        {
            "invariant": "spec",
            "subject": "task queued",
            "detail": "QUEUED, but what was enqueued is lost",
            "repair": None,
        }
    ]


@pytest.mark.damages_store
async def test_a_damaged_record_is_told_with_all_that_belongs_to_it_and_set_apart(
    store: TaskStore, options: tuple[str, ...]
) -> None:
    await populate(store)
    await damage(store, "HSET t:queued st SLEEPING")

    dry_run = await fsck(*options, "--repair")
    repaired = await fsck(*options, "--repair", "--yes")
    after = await fsck(*options)

    assert dry_run.code == 1
    assert sorted(dry_run.out.splitlines()[1:-1]) == [
        "member: task queued: is in i:QUEUED:work:default, but its record is damaged"
        " (would take it out of i:QUEUED:work:default)",
        "member: task queued: is in q:work:default, but its record is damaged"
        " (would take it out of q:work:default)",
        "owner: key s:queued: belongs to a task whose record is damaged (would set it apart)",
        "state: task queued: is in state 'SLEEPING', which there is not (would set it apart)",
    ]
    assert repaired.code == 0
    assert repaired.out.startswith("taskline fsck: 4 offences mended, now clean: 8 tasks (")
    assert after.code == 0
    assert after.out.endswith("; 1 damaged record set apart\n")


@pytest.mark.parametrize("output", ["table", "json"])
async def test_a_namespace_without_anything_is_exit_code_6_and_told(
    store: TaskStore, redis_url: str, output: str
) -> None:
    await populate(store)

    outcome = await fsck("--redis-url", redis_url, "--namespace", "typo", "--output", output)

    assert (outcome.code, outcome.out) == (6, "")
    assert outcome.err.endswith("taskline: there is nothing of namespace typo in the store\n")


@pytest.mark.damages_store
async def test_programs_get_json(store: TaskStore, options: tuple[str, ...]) -> None:
    await populate(store)
    await damage(store, "SET r:ghost 1")

    outcome = await fsck(*options, "--output", "json")

    assert outcome.code == 1
    assert outcome.json["clean"] is False
    assert (outcome.json["tasks"], outcome.json["total"]) == (9, 1)
    assert outcome.json["offences"] == [
        {
            "invariant": "owner",
            "subject": "key r:ghost",
            "detail": "belongs to a task that has no record",
            "repair": "drop it",
        }
    ]


@pytest.mark.damages_store
async def test_what_users_named_cannot_disturb_the_terminal(
    store: TaskStore, options: tuple[str, ...]
) -> None:
    await store.redis.call(b"SET", store.keys.prefix + b"r:\x1b[2J\n\xff", b"1")

    outcome = await fsck(*options)

    assert r"owner: key r:\x1b[2J\n\xff: belongs to" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--yes"], "--yes", id="yes to nothing"),
        pytest.param(["--snapshot", "/", "--repair"], "--repair", id="repair of a snapshot"),
        pytest.param(
            ["--snapshot", "/", "--data-dir", "/d"], "--snapshot", id="snapshot and data dir"
        ),
        pytest.param(["--namespace", "{x}"], "--namespace", id="namespace"),
        pytest.param(["--snapshot", "/there/is/none"], "--snapshot", id="no such file"),
    ],
)
async def test_wrong_usage_is_exit_code_2(arguments: list[str], told: str) -> None:
    outcome = await fsck(*arguments)

    assert outcome.code == 2
    assert told in outcome.err


async def test_a_store_that_cannot_be_had_is_exit_code_6(tmp_path: Path) -> None:
    nobody = await fsck("--redis-url", f"unix://{tmp_path}/store.sock")
    nothing = await fsck("--data-dir", tmp_path / "data")
    (tmp_path / "notes.txt").write_text("no snapshot")
    text = await fsck("--snapshot", tmp_path / "notes.txt")

    assert (nobody.code, nothing.code, text.code) == (6, 6, 6)
    assert nobody.err.startswith("taskline: cannot connect to unix://")
    assert nothing.err.startswith("taskline: no embedded store has kept anything in ")
    assert not (tmp_path / "data").exists()
    assert "is neither an RDB nor an append-only file" in text.err


async def test_a_data_directory_is_checked_whether_its_store_runs_or_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with (
        EmbeddedStore.start(data) as embedded,
        Redis(parse_redis_url(embedded.url)) as redis,
    ):
        await populate(TaskStore(redis, Keys("default")))

        joined = await fsck("--data-dir", data)
        snapshot = await fsck("--snapshot", data)

    started = await fsck(TASKLINE_DATA_DIR=str(data))
    of_environment = await fsck("--snapshot", data, TASKLINE_DATA_DIR=str(tmp_path))
    assert joined.out == snapshot.out == started.out == of_environment.out
    assert joined.out.startswith("taskline fsck: clean: 9 tasks (")
    assert {outcome.code for outcome in (joined, snapshot, started, of_environment)} == {0}


async def test_a_repair_of_a_data_directory_is_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with (
        EmbeddedStore.start(data) as embedded,
        Redis(parse_redis_url(embedded.url)) as redis,
    ):
        store = TaskStore(redis, Keys("default"))
        await populate(store)
        await damage(store, "ZREM leases running")

    before = await fsck("--data-dir", data)
    repaired = await fsck("--data-dir", data, "--repair", "-y")
    after = await fsck("--data-dir", data)

    assert (before.code, repaired.code, after.code) == (1, 0, 0)


def test_the_documentation_tells_every_invariant() -> None:
    documentation = (ROOT / "docs" / "reliability.md").read_text("utf-8")

    for invariant in Invariant:
        assert f"| {invariant.name.lower()} | {invariant.value} |\n" in documentation
