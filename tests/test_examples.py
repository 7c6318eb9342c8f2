"""What `make demo` shows, and the tasks that it and the README use."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from examples.serving import ServiceFailed, taskline_serve
from examples.spans import BrokenTrace, Span, tree_of
from examples.tasks import tasks
from taskline_client import ProgressReported, TaskFailed, TaskState
from tests.stack import Stack

ROOT = Path(__file__).parent.parent
TIMEOUT = timedelta(seconds=20)


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_demo_shows_a_tasks_whole_life_and_exits_with_0() -> None:
    demo = run_python("-m", "examples.demo")

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stderr == ""
    lines = [line.strip() for line in demo.stdout.splitlines()]
    assert any(line.startswith("serving on 127.0.0.1:") for line in lines)
    assert any("files, " in line and "SHA-256" in line for line in lines)
    assert "RETRYING   attempt 2: the line is busy" in lines
    assert "COMPLETED  attempt 3: got through" in lines
    assert "FAILED     ZeroDivisionError: float division by zero" in lines
    spans = [line.split() for line in lines if line.endswith(tuple("0123456789"))]
    kinds = [kind for kind in ("client", "server", "producer") if any(kind in s for s in spans)]
    assert kinds == ["client", "server", "producer"]
    assert sum("consumer" in span for span in spans) == 3
    assert max(map(len, demo.stdout.splitlines())) <= 80


def test_the_demo_exits_with_1_if_anything_is_not_as_shown(tmp_path: Path) -> None:
    without_files = f"demo.LIBRARY = demo.Path({str(tmp_path)!r})"

    demo = run_python(
        "-c", f"from examples import demo; {without_files}; raise SystemExit(demo.main())"
    )

    assert demo.returncode == 1, demo.stdout + demo.stderr
    assert "The demo failed: files.hash_tree found no file in" in demo.stdout
    assert "The end of the service's log:" in demo.stdout


async def test_a_service_that_does_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")

    with pytest.raises(ServiceFailed, match="before it was ready"):
        async with taskline_serve(tmp_path, workers=0, environment={}):
            pass

    assert "data" in (tmp_path / "service.log").read_text()


def span(id: bytes, parent: bytes = b"") -> Span:
    return Span(
        id=id,
        parent=parent,
        trace_id="1",
        name=id.decode(),
        kind="internal",
        service="test",
        start_ns=0,
        end_ns=0,
        failed=False,
        attributes={},
    )


def test_spans_are_shown_as_the_tree_that_they_are() -> None:
    spans = [span(b"a"), span(b"b", b"a"), span(b"c", b"b"), span(b"d", b"a")]

    tree = [branch + span.name for branch, span in tree_of(spans)]

    assert tree == ["a", "├─ b", "│  └─ c", "└─ d"]


@pytest.mark.parametrize(
    "spans",
    [
        pytest.param([], id="none"),
        pytest.param([span(b"a"), span(b"b")], id="two roots"),
        pytest.param([span(b"a"), span(b"b", b"missing")], id="a parent is missing"),
        pytest.param([span(b"b", b"missing")], id="the root is missing"),
    ],
)
def test_spans_that_are_no_single_tree_are_refused(spans: list[Span]) -> None:
    with pytest.raises(BrokenTrace):
        tree_of(spans)


@pytest.fixture
def stack(stack: Stack) -> Stack:
    """With the example tasks."""
    stack.tasks.include(tasks)
    return stack


async def test_count_words_counts(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("To be, or not to be: that is the question.\nÄh, äh!", "utf-8")

    async with stack.worker():
        handle = await stack.client.enqueue("text.count_words", path=str(file), top=3)
        count = await handle.result(timeout=TIMEOUT)

    assert count == {
        "path": str(file),
        "words": 12,
        "distinct": 9,
        "most_frequent": {"to": 2, "be": 2, "äh": 2},
    }


async def test_hash_tree_hashes_what_matches_and_reports_every_file(
    stack: Stack, tmp_path: Path
) -> None:
    for name in ("a.py", "b.py", "c.txt", "skipped/d.py", "sub/e.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    async with stack.worker():
        handle = await stack.client.enqueue("files.hash_tree", root=str(tmp_path), skip=["skipped"])
        digest = await handle.result(timeout=TIMEOUT)
        (tmp_path / "a.py").write_text("A.py")
        other = await stack.client.enqueue("files.hash_tree", root=str(tmp_path), skip=["skipped"])
        changed = await other.result(timeout=TIMEOUT)

    assert (digest["files"], digest["bytes"]) == (3, 16)
    assert changed["sha256"] != digest["sha256"]
    progress = (await handle.get()).progress
    assert progress
    assert (progress.current, progress.total, progress.message) == (3, 3, "e.py")


async def test_hash_tree_ends_at_its_limit(stack: Stack, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.py").write_text(name)

    async with stack.worker():
        handle = await stack.client.enqueue("files.hash_tree", root=str(tmp_path), limit=2)
        digest = await handle.result(timeout=TIMEOUT)

    assert digest["files"] == 2


async def test_flaky_fails_as_often_as_it_is_told_to(stack: Stack) -> None:
    async with stack.worker():
        handle = await stack.client.enqueue("demo.flaky", failures=1)
        result = await handle.result(timeout=TIMEOUT)

    assert result == "got through"
    assert (await handle.get()).attempts == 2


async def test_divide_by_zero_fails_at_the_first_attempt(stack: Stack) -> None:
    async with stack.worker():
        handle = await stack.client.enqueue("demo.divide", dividend=1, divisor=0)
        with pytest.raises(TaskFailed, match="division by zero"):
            await handle.result(timeout=TIMEOUT)
        quotient = await (await stack.client.enqueue("demo.divide", dividend=1, divisor=4)).result()

    assert (await handle.get()).attempts == 1
    assert quotient == 0.25


async def test_sleep_reports_while_it_sleeps_and_can_be_cancelled(stack: Stack) -> None:
    async with stack.worker():
        handle = await stack.client.enqueue("demo.sleep", seconds=60)
        async for event in handle.watch():
            if isinstance(event, ProgressReported):
                await handle.cancel("seen enough")

    assert (await handle.get()).state is TaskState.CANCELLED
