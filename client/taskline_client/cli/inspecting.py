"""`get`, `events`, `list`, `types`, `queues`, `workers` and `version`."""

from dataclasses import dataclass

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._pages import pages
from taskline_client._requests import task_filter
from taskline_client.cli.connecting import payload_format, run_connected
from taskline_client.cli.exits import Exit, tell, tell_command
from taskline_client.cli.options import Output
from taskline_client.cli.show import (
    print_answer,
    print_events,
    print_items,
    print_queues,
    print_task,
    print_task_type,
    print_task_types,
    print_tasks,
    print_workers,
)
from taskline_client.requests import TaskFilter

_LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the options of `list` ask for."""

    tasks: TaskFilter
    limit: int
    oldest_first: bool = False
    page_token: str = ""


def get(address: str, task_id: str, output: Output) -> None:
    """Print one task."""

    async def work(connection: Connection) -> int:
        request = service.GetTaskRequest(task_id=task_id, payload_format=payload_format(output))
        answer = await connection.call(connection.tasks.GetTask, request)
        task = answer.task
        print_answer(answer, output, ids=[task.id], table=lambda: print_task(task))
        return Exit.OK

    run_connected(address, work)


def events(address: str, task_id: str, output: Output) -> None:
    """Print what is recorded of a task, oldest first."""

    async def work(connection: Connection) -> int:
        async def fetch(token: str) -> service.ListTaskEventsResponse:
            request = service.ListTaskEventsRequest(
                task_id=task_id,
                page_size=_LARGEST_PAGE,
                page_token=token,
                payload_format=payload_format(output),
            )
            return await connection.call(connection.tasks.ListTaskEvents, request)

        found = [event async for page in pages(fetch) for event in page.events]
        print_items(
            service.ListTaskEventsResponse(events=found),
            found,
            output,
            ids=[str(event.sequence) for event in found],
            table=lambda: print_events(found),
        )
        return Exit.OK

    run_connected(address, work)


def list_tasks(address: str, listing: Listing, output: Output) -> None:
    """Print tasks, newest first."""

    async def work(connection: Connection) -> int:
        answer = await _fetch(connection, listing, output)
        print_items(
            answer,
            answer.tasks,
            output,
            ids=[task.id for task in answer.tasks],
            table=lambda: print_tasks(answer.tasks, empty="no tasks"),
        )
        if answer.next_page_token and output is not Output.JSON:
            total = f" of {answer.total_size}" if answer.HasField("total_size") else ""
            tell(f"{len(answer.tasks)}{total} shown; for the next ones add:")
            tell_command(f"--page-token {answer.next_page_token}")
        return Exit.OK

    run_connected(address, work)


async def _fetch(
    connection: Connection, listing: Listing, output: Output
) -> service.ListTasksResponse:
    """Pages until there are enough; as one answer, which is what a single page would be."""
    request = service.ListTasksRequest(
        filter=task_filter(listing.tasks),
        page_token=listing.page_token,
        order_by="create_time" if listing.oldest_first else "",
        payload_format=payload_format(output),
    )
    whole = service.ListTasksResponse()
    while True:
        request.page_size = min(listing.limit - len(whole.tasks), _LARGEST_PAGE)
        page = await connection.call(connection.tasks.ListTasks, request)
        # Lists grow, the rest is as the latest page has it.
        whole.MergeFrom(page)
        whole.next_page_token = request.page_token = page.next_page_token
        if not page.next_page_token or len(whole.tasks) >= listing.limit:
            return whole


def types(address: str, output: Output) -> None:
    """Print the task types."""

    async def work(connection: Connection) -> int:
        async def fetch(token: str) -> service.ListTaskTypesResponse:
            request = service.ListTaskTypesRequest(page_token=token)
            return await connection.call(connection.tasks.ListTaskTypes, request)

        found = [item async for page in pages(fetch) for item in page.task_types]
        print_items(
            service.ListTaskTypesResponse(task_types=found),
            found,
            output,
            ids=[task_type.name for task_type in found],
            table=lambda: print_task_types(found),
        )
        return Exit.OK

    run_connected(address, work)


def task_type(address: str, name: str, output: Output) -> None:
    """Print one task type with its schemas."""

    async def work(connection: Connection) -> int:
        request = service.GetTaskTypeRequest(name=name)
        answer = await connection.call(connection.tasks.GetTaskType, request)
        kind = answer.task_type
        print_answer(answer, output, ids=[kind.name], table=lambda: print_task_type(kind))
        return Exit.OK

    run_connected(address, work)


def queues(address: str, output: Output) -> None:
    """Print the queues."""

    async def work(connection: Connection) -> int:
        async def fetch(token: str) -> admin.ListQueuesResponse:
            request = admin.ListQueuesRequest(page_token=token)
            return await connection.call(connection.admin.ListQueues, request)

        found = [queue async for page in pages(fetch) for queue in page.queues]
        print_items(
            admin.ListQueuesResponse(queues=found),
            found,
            output,
            ids=[queue.name for queue in found],
            table=lambda: print_queues(found),
        )
        return Exit.OK

    run_connected(address, work)


def workers(address: str, output: Output) -> None:
    """Print the workers."""

    async def work(connection: Connection) -> int:
        async def fetch(token: str) -> admin.ListWorkersResponse:
            request = admin.ListWorkersRequest(page_token=token)
            return await connection.call(connection.admin.ListWorkers, request)

        found = [worker async for page in pages(fetch) for worker in page.workers]
        print_items(
            admin.ListWorkersResponse(workers=found),
            found,
            output,
            ids=[worker.id for worker in found],
            table=lambda: print_workers(found),
        )
        return Exit.OK

    run_connected(address, work)


def version(address: str, output: Output) -> None:
    """Print the client's version, and the server's if one answers."""

    async def work(connection: Connection) -> int:
        request = admin.GetServerInfoRequest()
        answer = await connection.call(connection.admin.GetServerInfo, request)
        print_answer(
            answer,
            output,
            ids=[answer.version],
            table=lambda: print(
                f"server {answer.version} at {connection.address}, store {answer.store_version}"
            ),
        )
        return Exit.OK

    run_connected(address, work)
