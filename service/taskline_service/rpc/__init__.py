"""The gRPC face of the service: requests in, domain calls, answers out."""

from taskline_service.rpc.server import RpcServer

__all__ = ["RpcServer"]
