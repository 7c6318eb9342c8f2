"""The gRPC face of the service: requests in, domain calls, answers out."""

from taskline_service.rpc.server import PortTaken, RpcServer

__all__ = ["PortTaken", "RpcServer"]
