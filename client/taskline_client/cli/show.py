"""One place for how answers are printed: tasks, results, types, queues, workers."""

from collections.abc import Callable, Iterable, Sequence

from google.protobuf.message import Message

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline_client._convert import task_from
from taskline_client._convert_deployment import queue_from, task_type_from, worker_from
from taskline_client._convert_events import event_from
from taskline_client.cli.lines import event_text
from taskline_client.cli.options import Output
from taskline_client.cli.protojson import to_json
from taskline_client.cli.tables import Column, print_facts, print_table
from taskline_client.cli.text import (
    error_facts,
    error_lines,
    error_text,
    for_this_output,
    on_one_line,
    printable,
    progress_text,
    span_text,
    time_text,
)
from taskline_client.deployment import Queue, Worker
from taskline_client.events import Ended
from taskline_client.types import Attempt, Task


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


def print_items(
    answer: Message,
    items: Sequence[Message],
    output: Output,
    *,
    ids: Sequence[str],
    table: Callable[[], None],
) -> None:
    """An answer that lists things: as JSON in one piece, or one line for each of them."""
    if output is Output.JSONL:
        for item in items:
            print_message(item, output)
    else:
        print_answer(answer, output, ids=ids, table=table)


def print_ids(ids: Iterable[str]) -> None:
    """One per line."""
    for name in ids:
        print(on_one_line(name))


_TASKS = (
    Column("ID", whole=True),
    Column("TASK_TYPE", rank=2),
    Column("QUEUE", rank=5),
    Column("STATE"),
    Column("ATTEMPTS", rank=6),
    Column("PROGRESS", rank=3),
    Column("CREATE_TIME", rank=4),
    Column("ERROR", rank=1, last=True),
)


def print_tasks(tasks: Sequence[pb.Task], *, empty: str = "") -> None:
    """A row for each."""
    print_table(_TASKS, [_task_row(task_from(task)) for task in tasks], empty=empty)


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
    """Everything about one task that people ask for, under the contract's names."""
    task = task_from(message)
    print_facts(
        (
            ("id", task.id),
            ("task_type", task.task_type),
            ("queue", task.queue),
            ("state", task.state),
            ("worker", task.worker),
            ("attempts", str(task.attempts)),
            ("max_attempts", "no limit" if task.max_attempts < 0 else str(task.max_attempts)),
            ("priority", str(task.priority) if task.priority else ""),
            ("progress", progress_text(task.progress) if task.progress else ""),
            ("message", task.progress.message if task.progress else ""),
            *_times_of(task),
            ("execution_timeout", span_text(task.execution_timeout)),
            ("queue_timeout", span_text(task.queue_timeout)),
            ("labels", " ".join(f"{key}={value}" for key, value in sorted(task.labels.items()))),
            ("input", payload_text(message.input) if message.HasField("input") else ""),
            ("result_size", f"{task.result_size} bytes" if task.result_size else ""),
            ("trace_id", task.trace_id),
            ("error", error_text(task.error) if task.error else ""),
            *(error_facts(task.error) if task.error else ()),
        )
    )
    if task.error and task.error.traceback:
        print(printable(task.error.traceback.rstrip()))
    if len(task.attempt_history) > 1:
        print()
        print_attempts(task.attempt_history)


def _times_of(task: Task) -> Sequence[tuple[str, str]]:
    times = (
        ("create_time", task.create_time),
        ("schedule_time", task.schedule_time),
        ("start_time", task.start_time),
        ("update_time", task.update_time),
        ("end_time", task.end_time),
        ("cancel_request_time", task.cancel_request_time),
        ("result_expire_time", task.result_expire_time),
        ("expire_time", task.expire_time),
    )
    return [(name, time_text(time)) for name, time in times]


def print_attempts(attempts: Sequence[Attempt]) -> None:
    """A row for each of the latest."""
    columns = (
        Column("ATTEMPT"),
        Column("WORKER", rank=2),
        Column("START_TIME"),
        Column("TOOK"),
        Column("ERROR", rank=1, last=True),
    )
    rows = [
        (
            str(attempt.number),
            attempt.worker,
            time_text(attempt.start_time),
            span_text(attempt.end_time - attempt.start_time)
            if attempt.end_time and attempt.start_time
            else "",
            error_text(attempt.error) if attempt.error else "",
        )
        for attempt in attempts
    ]
    print_table(columns, rows)


def print_events(events: Sequence[pb.TaskEvent]) -> None:
    """A line for each: when, and what."""
    for event in map(event_from, events):
        if event is None:
            continue
        print(on_one_line(f"{time_text(event.event_time)} {event_text(event)}"))
        if isinstance(event, Ended) and event.error and (more := error_lines(event.error)):
            print(more)


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
    columns = (
        Column("NAME", whole=True),
        Column("QUEUE", rank=2),
        Column("DESCRIPTION", rank=1, last=True),
    )
    print_table(columns, rows, empty="no task types: start a worker that has some")


def print_task_type(message: pb.TaskType) -> None:
    """One, with its schemas."""
    kind = task_type_from(message)
    policy = kind.retry_policy
    print_facts(
        (
            ("name", kind.name),
            ("queue", kind.queue),
            ("execution_timeout", span_text(kind.execution_timeout)),
            ("max_attempts", str(policy.max_attempts or "") if policy else ""),
            ("initial_backoff", span_text(policy.initial_backoff) if policy else ""),
            ("max_backoff", span_text(policy.max_backoff) if policy else ""),
        )
    )
    if kind.description:
        print(f"\n{printable(kind.description.rstrip())}")
    for name in ("input_schema", "output_schema"):
        if message.HasField(name):
            print(f"\n{name}: {for_this_output(to_json(getattr(message, name)))}")


QUEUES = (
    Column("NAME", whole=True),
    Column("STATE"),
    Column("QUEUED"),
    Column("SCHEDULED", rank=1),
    Column("RUNNING"),
    Column("OLDEST_AGE"),
    Column("MAX_QUEUED", rank=2),
)


def print_queues(messages: Sequence[admin.Queue]) -> None:
    """Depth and age of each."""
    print_table(QUEUES, [queue_row(queue_from(each)) for each in messages], empty="no queues yet")


def queue_row(queue: Queue) -> Sequence[str]:
    """The cells of a queue."""
    return (
        queue.name,
        "paused" if queue.paused else "open",
        str(queue.queued_count),
        str(queue.scheduled_count),
        str(queue.running_count),
        span_text(queue.oldest_age),
        str(queue.max_queued or ""),
    )


WORKERS = (
    Column("ID", whole=True),
    Column("IDENTITY", rank=3),
    Column("STATE"),
    Column("RUNNING"),
    Column("QUEUES", rank=2),
    Column("START_TIME", rank=4),
    Column("HEARTBEAT_TIME", rank=3),
)
# A worker says this now and then: beside a live list of what runs, it would be out of date.
_WHAT_RUNS = Column("RUNNING_TASK_IDS", rank=1, last=True)
# That are named of a worker.
_MOST_RUNNING = 3


def print_workers(messages: Sequence[admin.Worker]) -> None:
    """Who they are and what they do."""
    workers = map(worker_from, messages)
    rows = [(*worker_row(worker), _some_of(worker.running_task_ids)) for worker in workers]
    columns = (*WORKERS, _WHAT_RUNS)
    print_table(columns, rows, empty="no workers: start one with `taskline worker`")


def worker_row(worker: Worker) -> Sequence[str]:
    """The cells of a worker."""
    return (
        worker.id,
        worker.identity,
        "draining" if worker.draining else "working",
        f"{len(worker.running_task_ids)}/{worker.concurrency}",
        ",".join(worker.queues) or "all",
        time_text(worker.start_time),
        time_text(worker.heartbeat_time),
    )


def _some_of(task_ids: Sequence[str]) -> str:
    rest = len(task_ids) - _MOST_RUNNING
    return ",".join(task_ids[:_MOST_RUNNING]) + (f" and {rest} more" if rest > 0 else "")
