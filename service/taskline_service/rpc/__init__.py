"""The gRPC face of the service: requests in, domain calls, answers out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskline_service.rpc.server import PortTaken, RpcServer

__all__ = ["PortTaken", "RpcServer"]


def __getattr__(name: str) -> Any:
    # Late: a worker uses some of the rules that are here, and needs no gRPC for that.
    if name in __all__:
        from taskline_service.rpc import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
