"""`cancel`, `retry`, `delete`, and queues that are paused and resumed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._requests import task_filter
from taskline_client.admin import BULK_TIMEOUT
from taskline_client.cli import INTERRUPTED
from taskline_client.cli.asking import Answer, ask
from taskline_client.cli.choosing import Chosen
from taskline_client.cli.connecting import run_connected
from taskline_client.cli.exits import Exit, exit_code_of, tell, tell_error
from taskline_client.cli.options import Output
from taskline_client.cli.show import print_answer, print_ids, print_queues, print_tasks
from taskline_client.cli.text import counted, on_one_line
from taskline_client.errors import CallFailed, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that is done to one task, or to all that match."""

    verb: str
    done: str
    one: Callable[[Connection, str], Awaitable[Message]]
    many: Callable[[Connection, service.TaskFilter, bool], Awaitable[Any]]


def cancelling(reason: str) -> Change:
    """Ask to stop."""

    async def one(connection: Connection, task_id: str) -> Message:
        request = service.CancelTaskRequest(task_id=task_id, reason=reason)
        return await connection.call(connection.tasks.CancelTask, request)

    async def many(connection: Connection, tasks: service.TaskFilter, validate_only: bool) -> Any:
        request = admin.CancelTasksRequest(filter=tasks, reason=reason, validate_only=validate_only)
        method = connection.admin.CancelTasks
        return await connection.call(method, request, timeout=BULK_TIMEOUT)

    return Change(verb="cancel", done="cancelled", one=one, many=many)


async def _retry(connection: Connection, task_id: str) -> Message:
    request = admin.RetryTaskRequest(task_id=task_id)
    return await connection.call(connection.admin.RetryTask, request)


async def _retry_many(
    connection: Connection, tasks: service.TaskFilter, validate_only: bool
) -> Any:
    request = admin.RetryTasksRequest(filter=tasks, validate_only=validate_only)
    return await connection.call(connection.admin.RetryTasks, request, timeout=BULK_TIMEOUT)


async def _delete(connection: Connection, task_id: str) -> Message:
    request = admin.DeleteTaskRequest(task_id=task_id)
    return await connection.call(connection.admin.DeleteTask, request)


async def _delete_many(
    connection: Connection, tasks: service.TaskFilter, validate_only: bool
) -> Any:
    request = admin.DeleteTasksRequest(filter=tasks, validate_only=validate_only)
    return await connection.call(connection.admin.DeleteTasks, request, timeout=BULK_TIMEOUT)


RETRYING = Change(verb="retry", done="put back on their queues:", one=_retry, many=_retry_many)
DELETING = Change(verb="delete", done="deleted", one=_delete, many=_delete_many)


def change(address: str, what: Change, chosen: Chosen, output: Output) -> None:
    """Do it to the tasks that were chosen."""

    async def work(connection: Connection) -> int:
        if chosen.tasks is None:
            return await _change_named(connection, what, chosen.task_ids, output)
        tasks = task_filter(chosen.tasks)
        try:
            return await _change_matching(connection, what, tasks, chosen, output)
        except asyncio.CancelledError:
            tell("interrupted: what was done stays done; the same command does the rest")
            raise

    run_connected(address, work)


async def _change_named(
    connection: Connection, what: Change, task_ids: Sequence[str], output: Output
) -> int:
    """Each of them, whatever becomes of the others; the code tells of the first failure."""
    code, changed = Exit.OK, list[pb.Task]()
    for task_id in dict.fromkeys(task_ids):
        try:
            answer = await what.one(connection, task_id)
        except Unavailable:
            raise
        except CallFailed as error:
            tell_error(error)
            code = code or exit_code_of(error)
            continue
        task = getattr(answer, "task", None)
        if output is not Output.TABLE:
            print_answer(answer, output, ids=[task_id])
        elif task is None:
            print(on_one_line(f"{task_id} {what.done}"))
        else:
            changed.append(task)
    if changed:
        print_tasks(changed)
    return code


async def _change_matching(
    connection: Connection, what: Change, tasks: service.TaskFilter, chosen: Chosen, output: Output
) -> int:
    if chosen.dry_run or not chosen.confirmed:
        answer = await what.many(connection, tasks, True)
        found = counted(answer.count, "task")
        if chosen.dry_run:
            _print_count(answer, output, f"would {what.verb} {found}")
            return Exit.OK
        said = ask(f"{what.verb} {found}?") if answer.count else Answer.YES
        if said is not Answer.YES:
            tell("nothing was changed")
            return INTERRUPTED if said is Answer.INTERRUPTED else Exit.OK
    answer = await what.many(connection, tasks, False)
    _print_count(answer, output, f"{what.done} {counted(answer.count, 'task')}")
    return Exit.OK


def _print_count(answer: Any, output: Output, text: str) -> None:
    print_answer(answer, output, ids=[str(answer.count)], table=lambda: print(text))


def pause(address: str, queues: Sequence[str], output: Output) -> None:
    """Hand out none of their tasks. A queue may be paused before it has any, or by mistake."""

    async def one(connection: Connection, queue: str) -> Any:
        request = admin.PauseQueueRequest(queue=queue)
        answer = await connection.call(connection.admin.PauseQueue, request)
        paused = answer.queue
        if not (paused.queued_count or paused.scheduled_count or paused.running_count):
            tell(f"no task is on queue {queue}; it is paused for those to come")
        return answer

    _change_queues(address, queues, one, output)


def resume(address: str, queues: Sequence[str], output: Output) -> None:
    """Hand out their tasks again."""

    async def one(connection: Connection, queue: str) -> Any:
        request = admin.ResumeQueueRequest(queue=queue)
        return await connection.call(connection.admin.ResumeQueue, request)

    _change_queues(address, queues, one, output)


def _change_queues(
    address: str,
    queues: Sequence[str],
    one: Callable[[Connection, str], Awaitable[Any]],
    output: Output,
) -> None:
    async def work(connection: Connection) -> int:
        answers = [await one(connection, queue) for queue in dict.fromkeys(queues)]
        if output is Output.TABLE:
            print_queues([answer.queue for answer in answers])
        elif output is Output.ID:
            print_ids([answer.queue.name for answer in answers])
        else:
            for answer in answers:
                print_answer(answer, output, ids=())
        return Exit.OK

    run_connected(address, work)
