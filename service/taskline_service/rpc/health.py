"""grpc.health.v1: whether this process lives, and whether it can answer."""

from collections.abc import Iterable
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

SERVICE_NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class Health:
    """Liveness under the name "", readiness under the name of each service.

    Liveness is SERVING as long as the process answers at all: if it depended on the
    store, an outage of the store would have the whole fleet restarted.
    """

    def __init__(self, service_names: Iterable[str]) -> None:
        """Not ready yet."""
        self._names = tuple(service_names)
        self._servicer = _Servicer()
        self._draining = False

    async def add_to(self, server: grpc.aio.Server) -> None:
        """Serve it on `server`, which has not started yet."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        await self.set_ready(False)

    async def set_ready(self, ready: bool) -> None:
        """Say whether requests can be answered. After drain() it stays at no."""
        status = _SERVING if ready and not self._draining else _NOT_SERVING
        for name in self._names:
            await self._servicer.set(name, status)

    async def drain(self) -> None:
        """Send callers elsewhere from now on."""
        self._draining = True
        await self.set_ready(False)


class _Servicer(aio.HealthServicer):  # type: ignore[misc]  # comes without types
    """The stock servicer, with the List that it lacks."""

    def __init__(self) -> None:
        super().__init__()
        self._statuses = {"": _SERVING}

    async def set(self, service: str, status: int) -> None:
        self._statuses[service] = status
        await super().set(service, status)

    async def List(self, request: Any, context: Any) -> Any:
        return health_pb2.HealthListResponse(
            statuses={
                name: health_pb2.HealthCheckResponse(status=status)
                for name, status in self._statuses.items()
            }
        )
