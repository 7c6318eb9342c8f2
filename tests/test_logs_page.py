"""docs/logs.md says what the log is like."""

import json
import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskline_service import TaskContext
from taskline_service.logs import NamesTask, formats
from taskline_service.option_values import LogFormat, LogLevel
from taskline_service.tasks import ProgressReporter, logged
from tests.requirements.wire import enqueue, result_within
from tests.stack import Stack

PAGE = (Path(__file__).parent.parent / "docs" / "logs.md").read_text("utf-8")
FIELDS = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE, re.M))
TASKS, BINDING = re.findall(r"```python.*?\n(.*?)```", PAGE, re.S)


def defined_in(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_its_example_of_a_call_is_what_the_code_makes_of_it() -> None:
    definition = defined_in(TASKS)["tasks"]["payments.process"]
    progress = ProgressReporter(lambda _: None, task_id="7")
    ctx = TaskContext(task_id="7", task_type="any", attempt=1, worker="w", progress=progress)
    call = {"customer": "12345", "credit_card": "4111", "amount": 150.0, "items": ["a", "b", "c"]}

    words = definition.in_words(definition.arguments(json.dumps(call).encode(), ctx))

    assert f"```text\n{words}\n```" in PAGE


async def test_its_table_has_every_field_and_no_other(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    @stack.tasks.task("flaky", max_attempts=2, initial_backoff=timedelta(milliseconds=5))
    async def flaky(ctx: TaskContext) -> None:
        if ctx.attempt == 1:
            raise ConnectionError
        logging.getLogger("theirs").exception("failed", exc_info=ConnectionError())

    names_task = NamesTask()
    caplog.handler.addFilter(names_task)  # as our own handler has it
    caplog.set_level(logging.DEBUG, "taskline_service")
    async with stack.worker():
        task = await enqueue(stack, "flaky")
        await result_within(stack, task.id)
    caplog.handler.removeFilter(names_task)

    own = [r for r in caplog.records if vars(r).get("task_id") == task.id]
    as_json = formats.AsJson("worker w")
    fields = {name for r in own for name in json.loads(as_json.format(r))}
    assert fields | {"trace_id"} == set(FIELDS)
    assert {name for name, on in FIELDS.items() if "in JSON" in on} - {
        "time",
        "level",
        "logger",
        "message",
        "process",
        "pid",
        "traceback",
    } == formats._SAID


def test_its_numbers_and_values_are_those_of_the_code() -> None:
    assert f"cut at {formats.LONGEST_LINE} characters" in PAGE
    assert f"cut at {formats.LONGEST_MESSAGE_IN_JSON:,} characters" in PAGE
    assert f"cut at {logged.LONGEST_CALL}\ncharacters" in PAGE
    (formats_told,) = re.findall(r"`--log-format` is (.*?): for", PAGE, re.S)
    assert set(re.findall(r"`(\w+)`", formats_told)) == {each.value for each in LogFormat}
    (levels_told,) = re.findall(r"`--log-level` is (.*?)\.", PAGE, re.S)
    assert set(re.findall(r"`(\w+)`", levels_told)) == {each.value for each in LogLevel}


async def test_o47_the_logger_of_a_program_can_be_bound_to_a_task(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    stack.tasks.include(defined_in(TASKS)["tasks"])
    caplog.set_level(logging.INFO, "orders")

    async with stack.worker():
        await defined_in(BINDING)["order"](stack.address)

    told = [record for record in caplog.records if record.name == "orders"]
    assert [record.getMessage() for record in told] == ["enqueued", "paid"]
    (task_id,) = {vars(record)["task_id"] for record in told}
    assert (await stack.client.get(task_id)).task_type == "payments.process"
