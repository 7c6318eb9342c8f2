"""One place for how answers are printed: tasks, results, types, queues, workers."""

from collections.abc import Callable, Iterable, Sequence

from google.protobuf.message import Message

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline_client._convert import task_from
from taskline_client._convert_deployment import queue_from, worker_from
from taskline_client.cli.options import Output
from taskline_client.cli.protojson import to_json
from taskline_client.cli.tables import print_facts, print_table
from taskline_client.cli.text import (
    error_text,
    on_one_line,
    printable,
    progress_text,
    span_text,
    time_text,
)
from taskline_client.types import Task


def print_message(message: Message, output: Output) -> None:
    """As grpcurl prints it, or the same on one line."""
    print(to_json(message, indent=None if output is Output.JSONL else 2))


def print_answer(
    answer: Message,
    output: Output,
    *,
    ids: Sequence[str],
    table: Callable[[], None] = lambda: None,
) -> None:
    """In the way that was asked for."""
    match output:
        case Output.TABLE:
            table()
        case Output.ID:
            print_ids(ids)
        case _:
            print_message(answer, output)


def print_ids(ids: Iterable[str]) -> None:
    """One per line."""
    for name in ids:
        print(on_one_line(name))


def print_tasks(tasks: Sequence[pb.Task]) -> None:
    """A row for each."""
    rows = [_task_row(task_from(task)) for task in tasks]
    print_table(("ID", "TYPE", "QUEUE", "STATE", "ATTEMPTS", "PROGRESS", "CREATED", "ERROR"), rows)


def _task_row(task: Task) -> Sequence[str]:
    return (
        task.id,
        task.task_type,
        task.queue,
        task.state,
        str(task.attempts),
        progress_text(task.progress) if task.progress else "",
        time_text(task.create_time),
        error_text(task.error) if task.error else "",
    )


def print_task(message: pb.Task) -> None:
    """Everything about one task that people ask for."""
    task = task_from(message)
    most = "no limit" if task.max_attempts < 0 else str(task.max_attempts)
    print_facts(
        (
            ("id", task.id),
            ("type", task.task_type),
            ("queue", task.queue),
            ("state", task.state),
            ("attempts", f"{task.attempts} (at most {most})"),
            ("progress", progress_text(task.progress) if task.progress else ""),
            ("message", task.progress.message if task.progress else ""),
            ("worker", task.worker),
            ("created", time_text(task.create_time)),
            ("scheduled", time_text(task.schedule_time)),
            ("started", time_text(task.start_time)),
            ("ended", time_text(task.end_time)),
            ("cancel asked", time_text(task.cancel_request_time)),
            ("labels", " ".join(f"{key}={value}" for key, value in sorted(task.labels.items()))),
            ("input", payload_text(message.input) if message.HasField("input") else ""),
            ("trace", task.trace_id),
            ("error", error_text(task.error) if task.error else ""),
        )
    )
    if task.error and task.error.traceback:
        print(printable(task.error.traceback.rstrip()))


def payload_text(payload: pb.Payload) -> str:
    """The JSON text, exactly as it is stored."""
    match payload.WhichOneof("kind"):
        case "json_bytes":
            return payload.json_bytes.decode()
        case "json":
            return to_json(payload.json, indent=None)
        case _:
            return to_json(payload, indent=None)


def print_task_types(task_types: Sequence[pb.TaskType]) -> None:
    """Name, queue and the first line of the documentation."""
    rows = [
        (task_type.name, task_type.queue, task_type.description.partition("\n")[0])
        for task_type in task_types
    ]
    print_table(("NAME", "QUEUE", "DESCRIPTION"), rows)


def print_queues(messages: Sequence[admin.Queue]) -> None:
    """Depth and age of each."""
    rows = [
        (
            queue.name,
            "paused" if queue.paused else "open",
            str(queue.queued_count),
            str(queue.scheduled_count),
            str(queue.running_count),
            span_text(queue.oldest_age),
        )
        for queue in map(queue_from, messages)
    ]
    print_table(("NAME", "STATE", "QUEUED", "SCHEDULED", "RUNNING", "OLDEST"), rows)


def print_workers(messages: Sequence[admin.Worker]) -> None:
    """Who they are and what they do."""
    rows = [
        (
            worker.id,
            worker.identity,
            "draining" if worker.draining else "working",
            f"{len(worker.running_task_ids)}/{worker.concurrency}",
            ",".join(worker.queues) or "all",
            time_text(worker.heartbeat_time),
        )
        for worker in map(worker_from, messages)
    ]
    print_table(("ID", "IDENTITY", "STATE", "RUNNING", "QUEUES", "LAST HEARD"), rows)
