"""Tasks on text and files: what `make demo` and the README use."""

import asyncio
import fnmatch
import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class WordCount:
    """How many words a file has, and which are the most frequent."""

    path: str
    words: int
    distinct: int
    most_frequent: dict[str, int]


@dataclass(frozen=True, slots=True)
class TreeDigest:
    """One digest over all files of a folder."""

    root: str
    files: int
    bytes: int
    sha256: str


@tasks.task("text.count_words", queue="text", timeout=timedelta(seconds=30), max_attempts=3)
async def count_words(ctx: TaskContext, path: str, *, top: int = 10) -> WordCount:
    """Count the words of a text file."""
    ctx.logger.info("counting words")
    text = await asyncio.to_thread(Path(path).read_text, "utf-8", "replace")
    counts = Counter(_WORD.findall(text.lower()))
    return WordCount(path, counts.total(), len(counts), dict(counts.most_common(top)))


@tasks.task("files.hash_tree", queue="files", timeout=timedelta(minutes=5))
def hash_tree(
    ctx: TaskContext,
    root: str,
    *,
    pattern: str = "*.py",
    skip: tuple[str, ...] = (),
    limit: int = 100_000,
) -> TreeDigest:
    """Hash the files below a folder into one digest, with progress.

    A plain function: it runs in a thread, and reports without `await`. Folders named
    in `skip` are left out, and so is everything after the first `limit` files.
    """
    ctx.progress.set_message("looking for files")
    paths = list(islice(_files(root, pattern, skip), limit))
    ctx.progress.set_total(len(paths))
    digest, size = hashlib.sha256(), 0
    for path in paths:
        data = path.read_bytes()
        size += len(data)
        digest.update(str(path.relative_to(root)).encode() + b"\0" + hashlib.sha256(data).digest())
        ctx.progress.set_message(path.name)
        ctx.progress.increment()
    return TreeDigest(root, len(paths), size, digest.hexdigest())


def _files(root: str, pattern: str, skip: Collection[str]) -> Iterator[Path]:
    """The matching files below a folder, always in the same order."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders).difference(skip))
        for name in sorted(fnmatch.filter(names, pattern)):
            path = Path(folder, name)
            if path.is_file():
                yield path


@tasks.task(
    "demo.flaky",
    max_attempts=5,
    initial_backoff=timedelta(milliseconds=300),
    description="Fails as often as it is told to, and then succeeds.",
)
async def flaky(ctx: TaskContext, *, failures: int = 2) -> str:
    """Show how a failed attempt is repeated."""
    if ctx.attempt <= failures:
        raise ConnectionError("the line is busy")
    return "got through"


@tasks.task("demo.sleep", timeout=timedelta(hours=1))
async def sleep(ctx: TaskContext, seconds: float) -> float:
    """Do nothing for a while, with progress; a long task to watch or to cancel."""
    await ctx.progress.set_total(seconds)
    step = min(0.1, seconds)
    for _ in range(round(seconds / step) if step else 0):
        await asyncio.sleep(step)
        await ctx.progress.increment(step)
    return seconds


@tasks.task("demo.divide", max_attempts=1)
def divide(dividend: float, divisor: float) -> float:
    """Divide; by zero, fail for good."""
    return dividend / divisor
