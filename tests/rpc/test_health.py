from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from taskline_service.rpc.health import Health

SERVICES = ["taskline.v1.TaskService", "taskline.v1.AdminService"]


class Running:
    def __init__(self, health: Health, channel: grpc.aio.Channel) -> None:
        self.health = health
        self.stub: Any = health_pb2_grpc.HealthStub(channel)

    async def statuses(self) -> dict[str, str]:
        answer = await self.stub.List(health_pb2.HealthListRequest())
        return {name: status_name(each) for name, each in answer.statuses.items()}


def status_name(answer: Any) -> str:
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    server, health = grpc.aio.server(), Health(SERVICES)
    await health.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Running(health, channel)
    await server.stop(None)


async def test_a_server_lives_before_it_is_ready(running: Running) -> None:
    before = await running.statuses()
    await running.health.set_ready(True)
    after = await running.statuses()

    assert before == {"": "SERVING", **dict.fromkeys(SERVICES, "NOT_SERVING")}
    assert after == {"": "SERVING", **dict.fromkeys(SERVICES, "SERVING")}


async def test_a_draining_server_lives_and_is_not_ready_again(running: Running) -> None:
    await running.health.set_ready(True)
    await running.health.drain()
    await running.health.set_ready(True)

    assert await running.statuses() == {"": "SERVING", **dict.fromkeys(SERVICES, "NOT_SERVING")}


async def test_a_watcher_is_told_when_it_drains(running: Running) -> None:
    await running.health.set_ready(True)
    watch = running.stub.Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]))
    before = await watch.read()

    await running.health.drain()

    assert status_name(before) == "SERVING"
    assert status_name(await watch.read()) == "NOT_SERVING"


async def test_a_service_that_is_not_there_is_not_found(running: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Check(health_pb2.HealthCheckRequest(service="nothing"))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
