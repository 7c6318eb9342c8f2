"""The duration of calls, as an SDK sees it."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from taskline.v1 import task_service_pb2 as service
from taskline_client import TaskNotFound
from tests.client.conftest import Connect
from tests.client.scripted import Context, refuse


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """An SDK for one test."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    yield reader
    provider.shutdown()


async def test_a_call_is_measured_by_method_and_code(
    connect: Connect, reader: InMemoryMetricReader
) -> None:
    async def enqueue(_: service.EnqueueRequest, _context: Context) -> service.EnqueueResponse:
        return service.EnqueueResponse()

    async def get_task(_: service.GetTaskRequest, context: Context) -> Any:
        await refuse(context, grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND")

    client = await connect(Enqueue=enqueue, GetTask=get_task)
    await client.enqueue("demo.any")
    with pytest.raises(TaskNotFound):
        await client.get("missing")

    data: Any = reader.get_metrics_data()
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit) == ("rpc.client.call.duration", "s")
    seen = {
        (point.attributes["rpc.method"], point.attributes["rpc.response.status_code"]): point
        for point in metric.data.data_points
    }
    sent = seen["taskline.v1.TaskService/Enqueue", "OK"]
    refused = seen["taskline.v1.TaskService/GetTask", "NOT_FOUND"]
    assert (sent.count, refused.count) == (1, 1)
    assert "error.type" not in sent.attributes
    assert refused.attributes["error.type"] == "NOT_FOUND"
