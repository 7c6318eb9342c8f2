"""What tasks are given stays out of logs, spans, metrics and error details."""

import json
import re
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline.v1.task_service_pb2_grpc import TaskServiceStub
from taskline_service.store import TaskStore
from taskline_service.store.values import NewTask
from taskline_service.task import TaskSpec
from tests.observed import observed

State = task_pb2.Task
CANARY = "canary-7d1f"
SHOWN = "marked-5b2e"


class Caller:
    """Calls the server, and keeps what it was told of calls that were refused."""

    def __init__(self, stub: TaskServiceStub) -> None:
        self.stub = stub
        self.refusals: list[str] = []

    async def run(self, task_type: str, **task_input: Any) -> pb.GetResultResponse:
        task_id = (await self.enqueue(task_type, **task_input)).id
        return await self.result(task_id)

    async def enqueue(self, task_type: str, **task_input: Any) -> task_pb2.Task:
        request = pb.EnqueueRequest(
            task_type=task_type,
            labels={"secret": CANARY},
            input=task_pb2.Payload(json_bytes=json.dumps(task_input).encode()),
        )
        return (await self.stub.Enqueue(request, metadata=(("authorization", CANARY),))).task

    async def result(self, task_id: str) -> pb.GetResultResponse:
        request = pb.GetResultRequest(task_id=task_id, payload_format=task_pb2.PAYLOAD_FORMAT_JSON)
        request.timeout.FromSeconds(30)
        return await self.stub.GetResult(request)

    async def refused(self, call: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call.read() if hasattr(call, "read") else call)
        error = caught.value
        self.refusals.append(f"{error.code()} {error.details()} {error.trailing_metadata()!r}")


@pytest.mark.timeout(120)
async def test_d34_d37_a_secret_is_in_no_log_span_metric_or_error_detail(
    redis_url: str, tmp_path: Path
) -> None:
    options = (
        *("--tasks", "tests.e2e.canary_tasks:tasks", "--log-level", "debug"),
        *("--lease", "1", "--max-lost", "1"),
    )
    exporters = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"}
    async with observed(redis_url, tmp_path / "log", *options, environment=exporters) as served:
        caller = Caller(served.stub)
        await _every_path(caller, served.store)
    told = (tmp_path / "log").read_text("utf-8")

    # What is marked is there, and so is what would have let a secret out.
    assert f"tell('{SHOWN}', secret=...) started" in told
    assert "order(Order(number=7, secret=...)) completed in" in told
    assert "child(...) completed in" in told
    assert "child_dies(...) failed in" in told and "taken back from" in told
    assert re.search(r"fails\(\.\.\.\) failed in \S+ s: taskline_service.TaskFailure; next", told)
    assert "slow(...) failed in" in told and "waits(...) cancelled in" in told
    assert "the input does not fit: input.secret" in told
    assert '"name": "process default"' in told
    assert '"name": "taskline.task.failed"' in told
    assert len(caller.refusals) == 7
    for text in (told, *caller.refusals):
        found = [line for line in text.splitlines() if CANARY in line]
        assert found == []


async def _every_path(caller: Caller, store: TaskStore) -> None:
    ended = {
        "tell": await caller.run("canary.tell", number=SHOWN, secret=CANARY),
        "order": await caller.run("canary.order", number=7, secret=CANARY),
        "child": await caller.run("canary.child", secret=CANARY),
    }
    assert {name: answer.task.state for name, answer in ended.items()} == dict.fromkeys(
        ended, State.STATE_COMPLETED
    )
    # Its caller gets it back: as a result, as a message with a traceback, as progress.
    assert ended["order"].result.json.string_value == CANARY
    failures = {
        task_type: (await caller.run(f"canary.{task_type}", secret=CANARY)).error
        for task_type in ("fails", "child_fails", "unwritable", "wrong_type", "slow")
    }
    assert failures["fails"].message == failures["child_fails"].message == CANARY
    assert CANARY in failures["fails"].traceback
    for task_type in ("unwritable", "wrong_type"):
        assert CANARY not in failures[task_type].message + failures[task_type].traceback
    await _cancelled(caller)
    await _lost(caller)
    await _refused_by_the_worker(caller, store)
    await _refused_calls(caller)


async def _cancelled(caller: Caller) -> None:
    task = await caller.enqueue("canary.waits", secret=CANARY)
    async for event in caller.stub.Watch(pb.WatchRequest(task_ids=[task.id])):
        if event.HasField("progress") or event.snapshot.task.progress.message:
            break
    await caller.stub.CancelTask(pb.CancelTaskRequest(task_id=task.id, reason=CANARY))
    assert (await caller.result(task.id)).task.state == State.STATE_CANCELLED


async def _lost(caller: Caller) -> None:
    for task_type in ("canary.child_dies", "canary.kills_worker"):
        error = (await caller.run(task_type, secret=CANARY)).error
        assert error.error_type == task_pb2.TaskError.TYPE_WORKER_LOST


async def _refused_by_the_worker(caller: Caller, store: TaskStore) -> None:
    """As if a server without the code had taken them."""
    for kind in ("refused", "broken"):
        task_input = json.dumps({"number": 1, "secret": kind + CANARY}).encode()
        spec = TaskSpec(
            id=kind, uid=kind, task_type="canary.order", queue="default", input=task_input
        )
        await store.enqueue([NewTask(spec=spec)])
        assert (await caller.result(kind)).task.state == State.STATE_FAILED


async def _refused_calls(caller: Caller) -> None:
    stub = caller.stub
    wrong = task_pb2.Payload(json_bytes=json.dumps({"number": CANARY, "secret": CANARY}).encode())
    await caller.refused(stub.Enqueue(pb.EnqueueRequest(task_type="canary.order", input=wrong)))
    for kind in ("refused", "broken"):  # by a validator of the model
        text = json.dumps({"number": 1, "secret": kind + CANARY}).encode()
        payload = task_pb2.Payload(json_bytes=text)
        await caller.refused(
            stub.Enqueue(pb.EnqueueRequest(task_type="canary.order", input=payload))
        )
    broken = task_pb2.Payload(json_bytes=b'{"secret": "%b' % CANARY.encode())
    await caller.refused(stub.Enqueue(pb.EnqueueRequest(task_type="canary.child", input=broken)))
    await caller.refused(stub.ListTasks(pb.ListTasksRequest(page_token=CANARY)))
    await caller.refused(stub.Watch(pb.WatchRequest(task_ids=["refused"], resume_token=CANARY)))
    labels = {f"{CANARY} ": CANARY}
    await caller.refused(
        stub.Enqueue(pb.EnqueueRequest(task_type="canary.child", input=wrong, labels=labels))
    )
