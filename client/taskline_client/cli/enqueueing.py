"""`enqueue` and `run`."""

from dataclasses import dataclass
from datetime import timedelta

from taskline.v1 import task_pb2 as pb
from taskline.v1 import task_service_pb2 as service
from taskline_client._connection import Connection
from taskline_client._requests import enqueue_request
from taskline_client.cli.connecting import payload_format, run_connected
from taskline_client.cli.exits import Exit
from taskline_client.cli.following import follow_tasks
from taskline_client.cli.options import Output
from taskline_client.cli.results import print_outcome
from taskline_client.cli.show import print_answer
from taskline_client.cli.text import on_one_line
from taskline_client.requests import EnqueueOptions, EnqueueRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What the options of a command say about the task to enqueue."""

    task_type: str
    # JSON text.
    input: bytes | None
    options: EnqueueOptions

    def request(self) -> service.EnqueueRequest:
        """The input's bytes go out as they came in."""
        request = enqueue_request(EnqueueRequest(self.task_type, options=self.options))
        if self.input is not None:
            request.input.json_bytes = self.input
        return request


def enqueue(address: str, task: NewTask, output: Output) -> None:
    """Print the task's id, or the answer."""

    async def work(connection: Connection) -> int:
        answer = await connection.call(connection.tasks.Enqueue, task.request())
        print_answer(answer, output, ids=[answer.task.id], table=lambda: _tell_enqueued(answer))
        return Exit.OK

    run_connected(address, work)


def run(address: str, task: NewTask, output: Output) -> None:
    """Enqueue, follow, and print what the task returned."""

    async def work(connection: Connection) -> int:
        answer = await connection.call(connection.tasks.Enqueue, task.request())
        task_id = answer.task.id
        code = await follow_tasks(connection, [task_id], output, enqueued=answer.task)
        if output is not Output.TABLE or code != Exit.OK:
            return code
        request = service.GetResultRequest(task_id=task_id, payload_format=payload_format(output))
        outcome = await connection.call(connection.tasks.GetResult, request)
        return await print_outcome(connection, outcome, output, waited=timedelta())

    run_connected(address, work)


def _tell_enqueued(answer: service.EnqueueResponse) -> None:
    task: pb.Task = answer.task
    verb = "enqueued" if answer.created else "exists"
    print(on_one_line(f"{task.id} {verb}: {task.task_type} on queue {task.queue}"))
