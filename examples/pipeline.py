"""A pipeline is an ordinary task: it runs others, one after the other or side by side.

    taskline serve --tasks examples.pipeline:tasks
    taskline run pipeline.report folder=docs

While it waits, its worker runs other tasks in its place: also the ones that it waits for.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from examples import tasks as examples
from examples.tasks import WordCount, count_words
from taskline_service import TaskContext, TaskRegistry

tasks = TaskRegistry()
tasks.include(examples.tasks)


@dataclass(frozen=True, slots=True)
class Report:
    """What a folder of texts is about."""

    files: int
    words: int
    most_frequent: dict[str, int]


@tasks.task("pipeline.find_texts")
def find_texts(folder: str, *, pattern: str = "*.md") -> list[str]:
    """The files of a folder."""
    return sorted(str(path) for path in Path(folder).glob(pattern) if path.is_file())


@tasks.task("pipeline.summarize")
def summarize(counts: list[WordCount], *, top: int = 5) -> Report:
    """Many counts in one."""
    frequent = Counter[str]()
    for count in counts:
        frequent.update(count.most_frequent)
    words = sum(count.words for count in counts)
    return Report(len(counts), words, dict(frequent.most_common(top)))


@tasks.task("pipeline.report", timeout=timedelta(minutes=10))
async def report(ctx: TaskContext, folder: str, *, top: int = 5) -> Report:
    """Count the words of all texts in a folder: find them, count side by side, summarize."""
    await ctx.progress.set_message("finding texts")
    paths = await ctx.run(find_texts, folder)

    await ctx.progress.set_message(f"counting the words of {len(paths)} texts")
    parts = [await ctx.enqueue(count_words, path=path, top=1000) for path in paths]
    counts = await ctx.gather(*parts)

    await ctx.progress.set_message("summarizing")
    return await ctx.run(summarize, list(counts), top=top)
