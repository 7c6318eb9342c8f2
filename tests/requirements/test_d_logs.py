"""What the log has of each task."""

import logging
import re
from datetime import timedelta
from pathlib import Path

import pytest

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_service import TaskContext
from tests.e2e.logging_tasks import tasks as logging_tasks
from tests.observed import observed
from tests.requirements.wire import enqueue, result_within
from tests.stack import Stack

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
METADATA = (("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01"),)


async def test_d38_d39_every_line_of_a_task_names_it_wherever_its_code_runs(
    redis_url: str, tmp_path: Path
) -> None:
    tasks: dict[str, pb.Task] = {}
    options = ("--tasks", "tests.e2e.logging_tasks:tasks", "--log-level", "debug")
    async with observed(redis_url, tmp_path / "log", *options) as served:
        for definition in logging_tasks:
            payload = pb.Payload(json_bytes=b'{"name": "n"}')
            request = service.EnqueueRequest(task_type=definition.name, input=payload)
            sent = await served.stub.Enqueue(request, metadata=METADATA)
            answer = await served.stub.GetResult(
                service.GetResultRequest(task_id=sent.task.id, wait=True)
            )
            assert answer.task.state == pb.Task.STATE_COMPLETED
            tasks[definition.name] = answer.task
    entries = served.entries
    by_task = {
        name: [entry for entry in entries if entry.get("task_id") == task.id]
        for name, task in tasks.items()
    }

    own = {
        "log.async": ["on the loop", "in a thread of asyncio", "in a task of asyncio"],
        "log.thread": ["in a thread"],
        "log.child": ["in a child"],
        "log.child_async": ["on the loop of a child", "in a thread of a child"],
    }
    for name, task in tasks.items():
        # Without GetResult, and what asyncio says at the start of its loop.
        lines = [e for e in by_task[name] if "state" not in e and e["logger"] != "asyncio"]
        messages = [entry["message"] for entry in lines]
        function = logging_tasks[name].function.__name__
        assert messages[:-1] == [
            f"task {task.id}: {function}('n') started",
            *own[name],
            "through the context",
        ]
        assert re.fullmatch(
            rf"task {task.id}: {function}\('n'\) completed in \d+\.\d{{3}} s", messages[-1]
        )
        about = {
            "task_id": task.id,
            "task_type": name,
            "queue": "mail",
            "attempt": 1,
            "worker": task.worker,
            "trace_id": TRACE_ID,
        }
        assert [about | entry for entry in lines] == lines
    failed = next(entry for entry in by_task["log.child"] if entry["message"] == "in a child")
    assert failed["traceback"].endswith("LookupError: cause")
    assert failed["pid"] != by_task["log.child"][0]["pid"]
    told = [entry for entry in entries if entry["message"] == "through the context"]
    assert [(entry["page"], entry["level"]) for entry in told] == [(7, "ERROR")] * 4
    assert {entry["task_id"] for entry in told} == {task.id for task in tasks.values()}


async def test_o47_each_get_result_leaves_a_line_with_the_task_and_its_state(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    @stack.tasks.task("done")
    async def done() -> None: ...

    caplog.set_level(logging.INFO, "taskline_service.rpc")
    waits = await enqueue(stack, "done")
    await stack.stub.GetResult(service.GetResultRequest(task_id=waits.id))
    async with stack.worker():
        await result_within(stack, waits.id)

    told = [record for record in caplog.records if "GetResult" in record.getMessage()]
    assert [record.getMessage() for record in told] == [
        f"task {waits.id}: GetResult: QUEUED",
        f"task {waits.id}: GetResult: COMPLETED",
    ]
    assert [(vars(r)["task_id"], vars(r)["task_type"], vars(r)["state"]) for r in told] == [
        (waits.id, "done", "QUEUED"),
        (waits.id, "done", "COMPLETED"),
    ]


async def test_d37_the_line_of_a_failure_says_why_and_when_the_next_attempt_is(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    @stack.tasks.task("flaky", max_attempts=2, initial_backoff=timedelta(milliseconds=40))
    async def flaky(ctx: TaskContext) -> None:
        raise ConnectionError("secret")

    caplog.set_level(logging.INFO, "taskline_service.worker")
    async with stack.worker():
        task_id = (await enqueue(stack, "flaky")).id
        await result_within(stack, task_id)

    first, last = [r for r in caplog.records if vars(r).get("task_type") == "flaky"]
    assert re.fullmatch(
        rf"task {task_id}: flaky\(\) failed in \d\.\d{{3}} s: builtins\.ConnectionError; "
        r"next attempt in 0\.\d s",
        first.getMessage(),
    )
    assert last.getMessage().endswith("s: builtins.ConnectionError")
    assert [(vars(r)["attempt"], vars(r)["outcome"]) for r in (first, last)] == [
        (1, "retrying"),
        (2, "failed"),
    ]
    assert vars(first)["retry_in"] <= 0.04 * 1.5
    assert vars(last)["error_type"] == "runtime"
