"""Protobuf to the client's own values: task types, queues, workers, the server. Pure."""

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2 as pb
from taskline_client._convert import instant, retry_policy_from, span, struct_from
from taskline_client.deployment import Queue, ServerInfo, TaskTypeInfo, Worker


def task_type_from(task_type: pb.TaskType) -> TaskTypeInfo:
    """Schemas are None where they are not declared, and in lists."""
    return TaskTypeInfo(
        name=task_type.name,
        description=task_type.description,
        queue=task_type.queue,
        input_schema=(
            struct_from(task_type.input_schema) if task_type.HasField("input_schema") else None
        ),
        output_schema=(
            struct_from(task_type.output_schema) if task_type.HasField("output_schema") else None
        ),
        execution_timeout=(
            span(task_type.execution_timeout) if task_type.HasField("execution_timeout") else None
        ),
        retry_policy=(
            retry_policy_from(task_type.retry_policy)
            if task_type.HasField("retry_policy")
            else None
        ),
    )


def queue_from(queue: admin.Queue) -> Queue:
    """Counts are of the moment the server answered."""
    return Queue(
        name=queue.name,
        paused=queue.paused,
        queued_count=queue.queued_count,
        scheduled_count=queue.scheduled_count,
        running_count=queue.running_count,
        oldest_age=span(queue.oldest_age) if queue.HasField("oldest_age") else None,
        max_queued=queue.max_queued,
    )


def worker_from(worker: admin.Worker) -> Worker:
    """Lists become tuples."""
    return Worker(
        id=worker.id,
        identity=worker.identity,
        queues=tuple(worker.queues),
        task_types=tuple(worker.task_types),
        concurrency=worker.concurrency,
        running_task_ids=tuple(worker.running_task_ids),
        start_time=instant(worker.start_time),
        heartbeat_time=instant(worker.heartbeat_time),
        draining=worker.draining,
    )


def server_info_from(info: admin.GetServerInfoResponse) -> ServerInfo:
    """Spans that the server did not tell are None."""
    return ServerInfo(
        version=info.version,
        namespace=info.namespace,
        start_time=instant(info.start_time),
        store_time=instant(info.store_time),
        store_version=info.store_version,
        store_persistence=info.store_persistence,
        store_eviction_policy=info.store_eviction_policy,
        store_latency=span(info.store_latency) if info.HasField("store_latency") else None,
        store_refusal=info.store_refusal,
        max_input_size=info.max_input_size,
        max_result_size=info.max_result_size,
        max_wait=span(info.max_wait) if info.HasField("max_wait") else None,
        default_result_ttl=(
            span(info.default_result_ttl) if info.HasField("default_result_ttl") else None
        ),
        record_ttl=span(info.record_ttl) if info.HasField("record_ttl") else None,
    )
