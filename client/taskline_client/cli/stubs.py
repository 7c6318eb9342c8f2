"""`stubs`: a typed module for the task types of a service."""

from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._convert_deployment import task_type_from
from taskline_client._pages import pages
from taskline_client._stubs import module_of
from taskline_client.cli.connecting import run_connected
from taskline_client.cli.exits import Exit
from taskline_client.deployment import TaskTypeInfo


def stubs(address: str) -> None:
    """Print the module."""

    async def work(connection: Connection) -> int:
        print(module_of(await _task_types(connection)), end="")
        return Exit.OK

    run_connected(address, work)


async def _task_types(connection: Connection) -> list[TaskTypeInfo]:
    """All of them, with their schemas."""

    async def fetch(token: str) -> service.ListTaskTypesResponse:
        request = service.ListTaskTypesRequest(page_token=token)
        return await connection.call(connection.tasks.ListTaskTypes, request)

    async def described(name: str) -> TaskTypeInfo:
        request = service.GetTaskTypeRequest(name=name)
        answer = await connection.call(connection.tasks.GetTaskType, request)
        return task_type_from(answer.task_type)

    names = [each.name async for page in pages(fetch) for each in page.task_types]
    return [await described(name) for name in names]
