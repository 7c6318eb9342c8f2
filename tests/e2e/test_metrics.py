"""Every metric that is promised moves; docs/metrics.md has them all."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    Sum,
)

from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_client import EnqueueOptions, TaskClient
from taskline_service import TaskContext, telemetry
from taskline_service.option_values import ListenAddress, WrongOption
from taskline_service.rpc.pacing import Pacing
from taskline_service.store import Event
from taskline_service.task import Progress
from taskline_service.telemetry import bounded, setup
from taskline_service.telemetry.bounded import Bounded
from tests.observed import Observed, observed
from tests.requirements.shell import TASKLINE
from tests.requirements.wire import enqueue, result_within
from tests.stack import Stack
from tests.store.making import claim_one

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([\w.]+)` \| (\w+) \| `(\S+)` \| (.*?) \| ([\w, ]+) \|", PAGE, re.M)
SOON = timedelta(milliseconds=5)


class Collected:
    """What an SDK for one test has seen."""

    def __init__(self, reader: InMemoryMetricReader) -> None:
        self._reader = reader

    async def metrics(self) -> dict[str, Any]:
        """By name; read as exporters do, in a thread."""
        data: Any = await asyncio.to_thread(self._reader.get_metrics_data)
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    async def values(self, name: str, *by: str) -> dict[tuple[Any, ...], float]:
        """The values of a metric by these attributes; of a histogram, how many it has."""
        metric = (await self.metrics())[name]
        found: dict[tuple[Any, ...], float] = {}
        for point in metric.data.data_points:
            key = tuple((point.attributes or {}).get(attribute) for attribute in by)
            value = point.count if isinstance(point, HistogramDataPoint) else point.value
            found[key] = found.get(key, 0) + value
        return found


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    yield Collected(reader)
    provider.shutdown()


TYPE, QUEUE, ERROR = "taskline.task.type", "messaging.destination.name", "error.type"
OPERATION = "messaging.operation.name"


async def test_o46_tasks_that_completed_and_failed_are_counted_per_type(
    collected: Collected, stack: Stack
) -> None:
    @stack.tasks.task("good", queue="a")
    async def good() -> None: ...

    @stack.tasks.task("bad", max_attempts=2, initial_backoff=SOON)
    async def bad() -> None:
        raise ValueError

    @stack.tasks.task("waits")
    async def waits() -> None:
        await asyncio.Event().wait()

    async with stack.worker():
        for task_type in ("good", "good", "bad"):
            await result_within(stack, (await enqueue(stack, task_type)).id)
        task_id = (await enqueue(stack, "waits")).id
        await stack.until(task_id, lambda task: task.state == task_pb2.Task.STATE_RUNNING)
        await stack.stub.CancelTask(pb.CancelTaskRequest(task_id=task_id))
        await result_within(stack, task_id)

    assert await collected.values("taskline.task.completed", TYPE, QUEUE) == {("good", "a"): 2}
    assert await collected.values("taskline.task.failed", TYPE, QUEUE, ERROR) == {
        ("bad", "default", "runtime"): 1
    }
    assert await collected.values("taskline.task.attempts", TYPE, "taskline.task.outcome") == {
        ("good", "completed"): 2,
        ("bad", "retrying"): 1,
        ("bad", "failed"): 1,
        ("waits", "cancelled"): 1,
    }


@pytest.mark.one_partition
async def test_tasks_that_fail_without_an_attempt_of_theirs_are_counted_too(
    collected: Collected, stack: Stack
) -> None:
    @stack.tasks.task("work", queue="q")
    async def work() -> None: ...

    stack.store._max_lost = 1
    request = pb.EnqueueRequest(task_type="work", task_id="late")
    request.queue_timeout.FromMilliseconds(10)
    await stack.stub.Enqueue(request)
    await result_within(stack, "late")
    await stack.stub.Enqueue(pb.EnqueueRequest(task_type="work", task_id="lost"))
    await claim_one(stack.store, lease=timedelta(milliseconds=1))
    await result_within(stack, "lost")

    assert await collected.values("taskline.task.failed", TYPE, QUEUE, ERROR) == {
        ("work", "q", "queue_timeout"): 1,
        ("work", "q", "worker_lost"): 1,
    }


async def test_what_is_sent_received_and_settled_is_counted_and_measured(
    collected: Collected, stack: Stack
) -> None:
    @stack.tasks.task("good", queue="a")
    async def good() -> None: ...

    one = pb.EnqueueRequest(task_type="good")
    two = pb.BatchEnqueueRequest(requests=[one, pb.EnqueueRequest(task_type="good", queue="b")])
    sent = [(await stack.stub.Enqueue(one)).task]
    sent += [answer.task for answer in (await stack.stub.BatchEnqueue(two)).responses]
    async with stack.worker():
        for task in sent:
            await result_within(stack, task.id)

    counts = {("a",): 2.0, ("b",): 1.0}
    assert await collected.values("messaging.client.sent.messages", QUEUE) == counts
    assert await collected.values("messaging.client.consumed.messages", QUEUE) == counts
    operations = await collected.values("messaging.client.operation.duration", OPERATION, QUEUE)
    assert (operations["send", "a"], operations["send", None]) == (1, 1)
    assert operations["receive", None] >= 1
    assert operations["settle", None] >= 1
    assert await collected.values("messaging.process.duration", TYPE) == {("good",): 3}
    assert await collected.values("taskline.task.queue_time", TYPE) == {("good",): 3}


async def test_calls_are_measured_at_both_ends(collected: Collected, stack: Stack) -> None:
    async with TaskClient(stack.address) as client:
        assert [task async for task in client.list_tasks()] == []

    method = "taskline.v1.TaskService/ListTasks"
    for metric in ("rpc.client.call.duration", "rpc.server.call.duration"):
        calls = await collected.values(metric, "rpc.method", "rpc.response.status_code")
        assert calls[method, "OK"] == 1


@pytest.mark.one_partition
async def test_queues_are_read_once_for_each_collection(collected: Collected, stack: Stack) -> None:
    @stack.tasks.task("work")
    async def work() -> None: ...

    for queue, seconds in (("a", 0), ("a", 0), ("a", 3600), ("b", 0)):
        request = pb.EnqueueRequest(task_type="work", queue=queue)
        if seconds:
            request.delay.FromSeconds(seconds)
        await stack.stub.Enqueue(request)
    await claim_one(stack.store)
    calls = list[str]()
    script = stack.store.redis.script

    async def counted(name: str, *args: Any, **options: Any) -> Any:
        calls.append(name)
        return await script(name, *args, **options)

    stack.store.redis.script = counted  # type: ignore[method-assign]
    seen = await collected.metrics()

    depths = {
        (point.attributes[QUEUE], point.attributes["taskline.task.state"]): point.value
        for point in seen["taskline.queue.depth"].data.data_points
    }
    assert {key: value for key, value in depths.items() if value} == {
        ("a", "queued"): 1,
        ("a", "scheduled"): 1,
        ("a", "running"): 1,
        ("b", "queued"): 1,
    }
    points = seen["taskline.queue.oldest_age"].data.data_points
    ages = {point.attributes[QUEUE]: point.value for point in points}
    assert ages.keys() == {"a", "b"} and all(0 < age < 60 for age in ages.values())
    assert calls.count("on_lines") == 1


async def test_gauges_show_nothing_while_the_store_does_not_answer(
    collected: Collected, stack: Stack
) -> None:
    async def fails() -> Any:
        raise TimeoutError

    await stack.stub.ListTasks(pb.ListTasksRequest())
    directory: Any = stack.server._directory
    directory.queues = lambda **_: fails()

    seen = await collected.metrics()

    assert "taskline.queue.depth" not in seen
    assert "rpc.server.call.duration" in seen


async def test_streams_under_way_are_counted(collected: Collected, stack: Stack) -> None:
    @stack.tasks.task("work")
    async def work() -> None: ...

    task = await enqueue(stack, "work")
    watches = [stack.stub.Watch(pb.WatchRequest(task_ids=[task.id])) for _ in range(2)]
    for watch in watches:
        await watch.read()
    run = stack.stub.Run(pb.RunRequest(enqueue=pb.EnqueueRequest(task_type="work")))
    await run.read()

    assert await collected.values("taskline.watch.active") == {(): 3}

    async with stack.worker():
        streams: list[Any] = [run, *watches]
        for stream in streams:
            while await stream.read() is not grpc.aio.EOF:
                pass
    assert await collected.values("taskline.watch.active") == {(): 0}


async def test_progress_that_is_overtaken_is_counted(collected: Collected, stack: Stack) -> None:
    steps = 50

    @stack.tasks.task("steps")
    async def step_by_step(ctx: TaskContext) -> None:
        for _ in range(steps):
            await ctx.progress.increment()
            await asyncio.sleep(0.025)

    task = await enqueue(stack, "steps")
    request = pb.WatchRequest(task_ids=[task.id], resume_token=task.resume_token)
    request.min_progress_interval.FromMilliseconds(500)
    async with stack.worker():
        events = [event async for event in stack.stub.Watch(request)]

    told = sum(event.HasField("progress") for event in events)
    conflated = (await collected.values("taskline.watch.conflated"))[()]
    assert 0 < conflated <= steps - told


async def test_no_id_and_no_label_is_an_attribute(collected: Collected, stack: Stack) -> None:
    @stack.tasks.task("good")
    async def good() -> None: ...

    @stack.tasks.task("bad", max_attempts=1)
    async def bad() -> None:
        raise ValueError("a message")

    options = {"labels": {"label-key": "label-value"}}
    async with stack.worker() as worker:
        for task_type in ("good", "bad"):
            named = EnqueueOptions(task_id=f"id-of-{task_type}", **options)  # type: ignore[arg-type]
            await stack.client.enqueue(task_type, options=named)
            await result_within(stack, f"id-of-{task_type}")
        seen = await collected.metrics()

    attributes = [
        (name, key, str(value))
        for name, metric in seen.items()
        for point in metric.data.data_points
        for key, value in (point.attributes or {}).items()
    ]
    assert len(attributes) > 30
    secrets = ("id-of", "label-", "a message", worker._worker_id)
    assert [entry for entry in attributes if any(part in str(entry) for part in secrets)] == []


async def test_what_callers_and_tasks_make_up_is_bounded(
    collected: Collected, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "_queue", Bounded(2, other=bounded.OTHER))
    monkeypatch.setattr(bounded, "_kind", Bounded(2, other=(bounded.OTHER, bounded.OTHER)))
    monkeypatch.setattr(bounded, "_error", Bounded(2, other=bounded.OTHER))

    @stack.tasks.task("bad", max_attempts=1)
    async def bad(name: str) -> None:
        raise type(name, (Exception,), {})

    async with stack.worker():
        for number in range(5):
            options = EnqueueOptions(queue=f"q{number}", task_id=f"t{number}")
            await stack.client.enqueue("bad", {"name": f"E{number}"}, options=options)
            await result_within(stack, f"t{number}")

    sent = await collected.values("messaging.client.sent.messages", QUEUE)
    assert sent == {("q0",): 1, ("q1",): 1, ("_OTHER",): 3}
    failed = await collected.values("taskline.task.failed", TYPE, QUEUE)
    assert failed == {("bad", "q0"): 1, ("bad", "q1"): 1, ("_OTHER", "_OTHER"): 3}
    errors = await collected.values("messaging.process.duration", ERROR)
    assert len(errors) == 3 and errors[("_OTHER",)] == 3
    depths = await collected.values("taskline.queue.depth", QUEUE)
    assert len(depths) <= 3


async def test_the_page_has_every_metric_with_its_kind_unit_and_attributes(
    collected: Collected, stack: Stack
) -> None:
    @stack.tasks.task("good")
    async def good() -> None: ...

    @stack.tasks.task("bad", max_attempts=1)
    async def bad() -> None:
        raise ValueError

    telemetry.observe_damage(lambda: stack.store.redis.damage.count)
    pacing = Pacing(timedelta(minutes=1))
    for sequence in range(1, 4):  # one is told, one is held back, one overtakes it
        for event in pacing.order(progress_event(sequence)):
            pacing.sent(event)
    async with stack.worker(), TaskClient(stack.address) as client:
        for task_type in ("good", "bad"):
            handle = await client.enqueue(task_type)
            await result_within(stack, handle.id)
            async for _ in stack.stub.Watch(pb.WatchRequest(task_ids=[handle.id])):
                pass
    seen = await collected.metrics()

    told = {
        name: (kind, unit, set(re.findall("`(.+?)`", ats))) for name, kind, unit, ats, _ in ROWS
    }
    assert {name: (kind_of(metric), metric.unit) for name, metric in seen.items()} == {
        name: (kind, unit) for name, (kind, unit, _) in told.items()
    }
    for name, metric in seen.items():
        keys = {key for point in metric.data.data_points for key in point.attributes or ()}
        assert keys <= told[name][2], name
        assert told[name][2] - keys <= {ERROR}, name


def progress_event(sequence: int) -> Event:
    return Event(
        task_id="t",
        event_us=0,
        line="a:b",
        revision=sequence,
        ordinal=0,
        sequence=sequence,
        change=Progress(current=float(sequence)),
    )


def kind_of(metric: Metric) -> str:
    if isinstance(metric.data, Histogram):
        return "histogram"
    if isinstance(metric.data, Sum):
        return "counter" if metric.data.is_monotonic else "sum"
    return "gauge"


# For Prometheus


async def test_prometheus_reads_the_server_and_the_workers_beside_it(
    redis_url: str, tmp_path: Path
) -> None:
    options = ("--tasks", "examples.tasks:tasks", "--metrics-listen", "127.0.0.1:0")
    async with observed(redis_url, tmp_path / "log", *options) as served:
        request = pb.EnqueueRequest(task_type="demo.divide", task_id="t")
        request.input.json.struct_value.update({"dividend": 1, "divisor": 4})
        await served.stub.Enqueue(request)
        await served.stub.GetResult(pb.GetResultRequest(task_id="t", wait=True))
        completed = r'taskline_task_completed_total{[^}]*taskline_task_type="demo.divide"[^}]*} 1.0'
        async with asyncio.timeout(20):  # the worker counts when the store has answered
            while True:
                server, worker = await asyncio.to_thread(pages_of, served)
                if re.search(completed, worker):
                    break

    queue = 'messaging_destination_name="default"'
    assert re.search(rf"taskline_queue_depth{{[^}}]*{queue}[^}}]*}} 0.0", server)
    assert "rpc_server_call_duration_seconds_count" in server


def pages_of(served: Observed) -> list[str]:
    """Of the server, then of the worker."""
    logged = (re.match(r"metrics: (http\S+)", entry["message"]) for entry in served.entries)
    urls = [found[1] for found in logged if found]
    return [urllib.request.urlopen(url, timeout=10).read().decode() for url in urls]


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [str(TASKLINE), "serve", "--data-dir", str(tmp_path), "--metrics-listen", address]
        finished = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            env=os.environ | {"COLUMNS": "200"},
            check=False,
        )

    assert finished.returncode == 2
    assert "--metrics-listen" in finished.stderr
    assert f"cannot listen on {address}: Address already in use" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "never awaited" not in finished.stderr


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuse:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name.startswith("opentelemetry.exporter"):
                raise ModuleNotFoundError(name=name)

    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Refuse(), *sys.meta_path])

    with pytest.raises(WrongOption, match=r"pip install '/path/to/taskline\[prometheus\]'"):
        setup("taskline-server", environ={}, metrics_listen=ListenAddress("127.0.0.1", 0))


def test_it_contradicts_a_disabled_sdk() -> None:
    disabled = {"OTEL_SDK_DISABLED": "true"}

    with pytest.raises(WrongOption, match="OTEL_SDK_DISABLED"):
        setup("taskline-server", environ=disabled, metrics_listen=ListenAddress("127.0.0.1", 0))
