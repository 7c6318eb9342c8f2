"""What task code sees: names on log records, and progress."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from taskline_service.task import Progress
from taskline_service.tasks import ProgressReporter, ResultNotSerializable, TaskContext


class Reports(list[Progress]):
    """Keeps every state that a reporter told."""


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def progress(reports: Reports) -> ProgressReporter:
    return ProgressReporter(reports.append, clock=lambda: 42, task_id="t1")


def test_log_records_name_the_task_and_keep_what_the_caller_adds(
    progress: ProgressReporter, caplog: pytest.LogCaptureFixture
) -> None:
    ctx = TaskContext(task_id="t1", task_type="a", attempt=2, worker="w1", progress=progress)

    with caplog.at_level(logging.INFO):
        ctx.logger.info("page %d", 7, extra={"page": 7, "task_id": "other"})

    (record,) = caplog.records
    names: dict[str, Any] = vars(record)
    assert record.getMessage() == "page 7"
    assert (names["task_id"], names["task_type"], names["attempt"]) == ("t1", "a", 2)
    assert (names["worker"], names["page"]) == ("w1", 7)


async def test_each_report_is_told_at_once_with_its_time(
    progress: ProgressReporter, reports: Reports
) -> None:
    await progress.set_total(4)
    await progress.increment()
    await progress.increment(2)
    await progress.set_message("three of four")

    assert reports[0] == Progress(current=0, total=4, update_us=42)
    assert reports[-1] == Progress(current=3, total=4, message="three of four", update_us=42)
    assert reports[-1].percentage == 75.0
    assert (progress.current, progress.total, progress.message) == (3, 4, "three of four")


def test_many_small_steps_are_not_over_their_total(
    progress: ProgressReporter, caplog: pytest.LogCaptureFixture
) -> None:
    progress.set_total(3)
    for _ in range(30):
        progress.increment(0.1)  # 3.0000000000000013 in all

    assert progress.current == 3
    assert caplog.records == []


def test_a_plain_function_reports_without_await(progress: ProgressReporter) -> None:
    progress.set_total(2)
    progress.increment()
    progress.set_current(2)

    assert progress.current == 2


async def test_f6_1_what_is_not_a_number_is_rejected_at_the_call(
    progress: ProgressReporter, reports: Reports
) -> None:
    bad: Any
    for bad in ("50", None, True, [], 1j):
        with pytest.raises(TypeError, match="must be a number"):
            progress.increment(bad)
        with pytest.raises(TypeError, match="must be a number"):
            progress.set_current(bad)
    for bad in ("50", False):
        with pytest.raises(TypeError, match="must be a number"):
            progress.set_total(bad)
    for bad in (float("nan"), float("inf"), 10**400):
        with pytest.raises(ValueError, match="finite"):
            progress.increment(bad)
    with pytest.raises(TypeError, match="must be a str"):
        bad = 5
        progress.set_message(bad)

    assert reports == []


def test_an_increment_of_nothing_is_accepted(progress: ProgressReporter) -> None:
    progress.increment(0)

    assert progress.current == 0


@pytest.mark.parametrize("total", [0, -1, -0.0])
def test_d11_f6_3_a_total_of_nothing_counts_as_unknown(
    progress: ProgressReporter, total: float
) -> None:
    progress.set_total(total)

    assert progress.total is None


def test_f6_3_current_stays_between_zero_and_total_and_the_cap_is_logged_once(
    progress: ProgressReporter, caplog: pytest.LogCaptureFixture
) -> None:
    progress.set_current(-5)
    assert progress.current == 0

    progress.set_total(10)
    progress.set_current(11)
    progress.increment()
    assert progress.current == 10
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "t1" in caplog.text

    progress.set_total(4)
    assert progress.current == 4
    progress.set_total(None)
    progress.increment()
    assert (progress.current, progress.total) == (5, None)


def test_f6_4_a_long_message_is_cut(progress: ProgressReporter) -> None:
    progress.set_message("ü" * 500)
    assert progress.message == "ü" * 500

    progress.set_message("ü" * 501)
    assert progress.message == "ü" * 497 + "..."


def test_details_are_copied_and_bounded(progress: ProgressReporter, reports: Reports) -> None:
    details = {"files": ["a"]}
    progress.set_details(details)
    details["files"].append("b")

    assert reports[-1].details == {"files": ["a"]}
    with pytest.raises(ValueError, match="more than 4096"):
        progress.set_details({"x": "y" * 4096})
    with pytest.raises(ResultNotSerializable, match=r"details\.x of type set"):
        progress.set_details({"x": {1}})


async def test_increments_from_threads_and_the_loop_are_never_lost(
    progress: ProgressReporter, reports: Reports
) -> None:
    def count() -> None:
        for _ in range(2000):
            progress.increment()

    async def count_here() -> None:
        for _ in range(2000):
            await progress.increment()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.gather(
        count_here(), count_here(), *map(asyncio.to_thread, [t.join for t in threads])
    )

    assert progress.current == 12_000
    assert [report.current for report in reports] == list(range(1, 12_001))


async def test_a_task_that_only_reports_can_be_cancelled(progress: ProgressReporter) -> None:
    async def busy() -> None:
        while True:
            await progress.increment()

    task = asyncio.create_task(busy())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
