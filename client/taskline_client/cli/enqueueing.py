"""`enqueue` and `run`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._requests import enqueue_request
from taskline_client.cli.connecting import payload_format, run_connected
from taskline_client.cli.exits import Exit, tell
from taskline_client.cli.following import Followed, follow_tasks
from taskline_client.cli.options import Output
from taskline_client.cli.results import print_outcome
from taskline_client.cli.show import print_answer
from taskline_client.cli.text import on_one_line
from taskline_client.cli.values import quoted_as_text
from taskline_client.errors import FieldViolation, InvalidInput
from taskline_client.requests import EnqueueOptions, EnqueueRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What the options of a command say about the task to enqueue."""

    task_type: str
    # JSON text.
    input: bytes | None
    # KEY=VALUE, as they were typed; the input was made of them.
    arguments: Sequence[str] = ()
    options: EnqueueOptions

    def request(self, *, validate_only: bool = False) -> service.EnqueueRequest:
        """The input's bytes go out as they came in."""
        request = enqueue_request(EnqueueRequest(self.task_type, options=self.options))
        if self.input is not None:
            request.input.json_bytes = self.input
        request.validate_only = validate_only
        return request


def enqueue(address: str, task: NewTask, output: Output, *, validate_only: bool) -> None:
    """Print the task's id, or the answer."""

    async def work(connection: Connection) -> int:
        answer = await _enqueue(connection, task, task.request(validate_only=validate_only))
        ids = [answer.task.id] if answer.task.id else []
        print_answer(answer, output, ids=ids, table=lambda: _tell_enqueued(answer))
        return Exit.OK

    run_connected(address, work)


def run(address: str, task: NewTask, output: Output, *, timeout: timedelta | None) -> None:
    """Enqueue, follow, and print what the task returned."""

    async def work(connection: Connection) -> int:
        began, request = monotonic(), task.request()
        try:
            async with asyncio.timeout(timeout.total_seconds() if timeout else None):
                answer = await _enqueue(connection, task, request)
        except TimeoutError:
            tell("the server did not answer in time: the task may or may not have been accepted")
            tell(f"repeat the command with --request-id {request.request_id} to have it once")
            return Exit.UNAVAILABLE
        followed = Followed(task_ids=[answer.task.id], enqueued=answer.task, stream="stderr")
        left = timeout - timedelta(seconds=monotonic() - began) if timeout else None
        code = await follow_tasks(connection, followed, output, timeout=left, asked_for=timeout)
        if output is not Output.TABLE or code != Exit.OK:
            return code
        ask = service.GetResultRequest(
            task_id=answer.task.id, payload_format=payload_format(output)
        )
        outcome = await connection.call(connection.tasks.GetResult, ask)
        return await print_outcome(connection, outcome, output, waited=timedelta())

    run_connected(address, work, timeout=timeout)


async def _enqueue(
    connection: Connection, task: NewTask, request: service.EnqueueRequest
) -> service.EnqueueResponse:
    try:
        return await connection.call(connection.tasks.Enqueue, request)
    except InvalidInput as error:
        violations = [_with_hint(each, task.arguments) for each in error.violations]
        raise InvalidInput(replace(error.status, violations=violations)) from error


def _with_hint(violation: FieldViolation, arguments: Sequence[str]) -> FieldViolation:
    """Where text was expected, and the shell's word for it is JSON of another kind."""
    quoted = quoted_as_text(arguments, violation.field.removeprefix("input."))
    if not quoted or "string" not in violation.description:
        return violation
    hint = f"{violation.description}; it was read as JSON, as text it is {quoted}"
    return replace(violation, description=hint)


def _tell_enqueued(answer: service.EnqueueResponse) -> None:
    task: pb.Task = answer.task
    if not task.id:
        print(on_one_line(f"valid: {task.task_type} on queue {task.queue}"))
        return
    verb = "enqueued" if answer.created else "exists"
    print(on_one_line(f"{task.id} {verb}: {task.task_type} on queue {task.queue}"))
