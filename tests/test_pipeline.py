"""The example of a pipeline, as the documents show it."""

from pathlib import Path

from examples.pipeline import Report, report, tasks
from taskline_client import TaskFilter, TaskState
from tests.stack import Stack


async def test_a33_d32_a_pipeline_runs_its_steps_in_order_on_a_single_slot(
    stack: Stack, tmp_path: Path
) -> None:
    stack.tasks.include(tasks)
    for name, text in (("a.md", "one two two"), ("b.md", "two three"), ("c.txt", "not counted")):
        (tmp_path / name).write_text(text)

    async with stack.worker(concurrency=1):
        summary = await stack.client.run(report, folder=str(tmp_path), top=1)

    assert summary == Report(files=2, words=5, most_frequent={"two": 3})
    steps = [task async for task in stack.client.list_tasks(oldest_first=True)]
    assert [step.task_type for step in steps] == [
        "pipeline.report",
        "pipeline.find_texts",
        "text.count_words",
        "text.count_words",
        "pipeline.summarize",
    ]
    _, found, *counted, summarized = steps
    assert all(found.end_time <= each.create_time for each in counted)  # type: ignore[operator]
    assert all(each.end_time <= summarized.create_time for each in counted)  # type: ignore[operator]
    done = TaskFilter(states=[TaskState.COMPLETED])
    assert len([task async for task in stack.client.list_tasks(done)]) == len(steps)
