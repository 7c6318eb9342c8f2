"""TaskFilter, said a second time: what the store finds is compared with this."""

from taskline.v1 import task_service_pb2 as pb
from taskline_service.rpc.convert import ERROR_TYPE_TO_PB, STATE_TO_PB
from taskline_service.rpc.filtering import first_us_from
from taskline_service.task import Task


def matches(chosen: pb.TaskFilter, task: Task) -> bool:
    """Whether a task meets every condition that is set."""
    spec, error = task.spec, task.error
    return (
        (not chosen.queues or spec.queue in chosen.queues)
        and (not chosen.task_types or spec.task_type in chosen.task_types)
        and (not chosen.states or STATE_TO_PB[task.state] in chosen.states)
        and all(spec.labels.get(key) == value for key, value in chosen.labels.items())
        and _within(chosen, "create_time", task.create_us)
        and _within(chosen, "end_time", task.end_us)
        and task.attempts >= chosen.min_attempts
        and (
            not chosen.error_types
            or (error is not None and ERROR_TYPE_TO_PB[error.error_type] in chosen.error_types)
        )
        and (not chosen.workers or task.worker in chosen.workers)
    )


def _within(chosen: pb.TaskFilter, name: str, us: int) -> bool:
    """Whether an instant of a task, 0 if it has not come, is within the two that are set."""
    least, end = f"min_{name}", f"max_{name}"
    has_least, has_end = chosen.HasField(least), chosen.HasField(end)  # type: ignore[arg-type]
    if not us and (has_least or has_end):
        return False
    return (not has_least or us >= first_us_from(getattr(chosen, least))) and (
        not has_end or us < first_us_from(getattr(chosen, end))
    )
