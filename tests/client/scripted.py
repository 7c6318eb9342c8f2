"""A real gRPC server whose answers a test writes itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from taskline.v1 import task_pb2 as pb
from taskline.v1.admin_service_pb2_grpc import (
    AdminServiceServicer,
    add_AdminServiceServicer_to_server,
)
from taskline.v1.task_service_pb2_grpc import (
    TaskServiceServicer,
    add_TaskServiceServicer_to_server,
)

Context = grpc.aio.ServicerContext[Any, Any]


# To the type checker the generated classes are abstract; in truth every method of
# theirs answers UNIMPLEMENTED.
_Tasks: Any = TaskServiceServicer
_Admin: Any = AdminServiceServicer


class ScriptedServer:
    """Both services; what a test does not script answers UNIMPLEMENTED."""

    def __init__(self, address: str = "127.0.0.1:0", **methods: Any) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        tasks, admin = _Tasks(), _Admin()
        for name, method in methods.items():
            setattr(tasks if hasattr(tasks, name) else admin, name, method)
        add_TaskServiceServicer_to_server(tasks, self._server)
        add_AdminServiceServicer_to_server(admin, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port(address)}"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(grace=None)


async def refuse(
    context: Context,
    code: grpc.StatusCode,
    reason: str = "",
    *,
    message: str = "no",
    metadata: Mapping[str, str] | None = None,
    violations: Sequence[tuple[str, str]] = (),
) -> Any:
    """Ends the call as the contract's errors do."""
    info = error_details_pb2.ErrorInfo(domain="taskline", reason=reason, metadata=metadata)
    details = [packed(info), packed(error_details_pb2.RetryInfo(retry_delay=Duration()))]
    if violations:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in violations
        ]
        details.append(packed(error_details_pb2.BadRequest(field_violations=fields)))
    status = status_pb2.Status(code=code.value[0], message=message, details=details)
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, message, trailing_metadata=trailers if reason else ())


def packed(message: Any) -> AnyMessage:
    detail = AnyMessage()
    detail.Pack(message)
    return detail


def snapshot(task_id: str, state: pb.Task.State.ValueType, token: str = "") -> pb.TaskEvent:
    task = pb.Task(id=task_id, task_type="demo.sleep", state=state)
    return pb.TaskEvent(
        task_id=task_id,
        sequence=1,
        resume_token=token,
        snapshot=pb.TaskEvent.Snapshot(task=task),
    )


def progress(task_id: str, current: float, total: float, token: str = "") -> pb.TaskEvent:
    percentage = round(100 * current / total, 2)
    return pb.TaskEvent(
        task_id=task_id,
        sequence=int(current) + 2,
        resume_token=token,
        progress=pb.Progress(
            current=current, total=total, percentage=percentage, message=f"at {current:g}"
        ),
    )


def completed(task_id: str, result: bytes, token: str = "") -> pb.TaskEvent:
    ended = pb.TaskEvent.Ended(
        state=pb.Task.STATE_COMPLETED, result=pb.Payload(json_bytes=result), attempts=1
    )
    return pb.TaskEvent(task_id=task_id, sequence=1000, resume_token=token, ended=ended)
